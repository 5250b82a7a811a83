//! A thread of another process that is held still, as a debugger does it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Seizes the thread and lets go of it with its own end, which comes with the end of its input.
const HOLD: &str = "
import ctypes, sys
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if ptrace(request, int(sys.argv[1]), None, None) != 0:
        sys.exit('errno %d' % ctypes.get_errno())
print('held', flush=True)
sys.stdin.read()
";

/// Dropped, the thread goes on.
pub struct Stopped {
    holder: Child,
}

impl Stopped {
    pub fn thread(python: &Path, pid: u32, name: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let task = tasks
            .map(|task| task.unwrap().path())
            .find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == name)
            .unwrap_or_else(|| panic!("no thread {name}"));
        let mut holder = Command::new(python)
            .args(["-c", HOLD])
            .arg(task.file_name().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n", "{name} held still");
        Self { holder }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
