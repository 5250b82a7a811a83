//! Reading the files that a configuration names: bounded, and never waiting for a writer.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The first bytes of a file, at most so many. A pipe would be waited for until somebody writes to
/// it, and a device may never end: only a regular file is read.
///
/// # Errors
/// When it cannot be read or is something else.
pub fn read_at_most(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        std::fs::write(&file, "text").unwrap();
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read_at_most(&file, 5).unwrap(), b"text");
        assert_eq!(read_at_most(&file, 3).unwrap(), b"tex");
        for other in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
            let error = read_at_most(other, 5).unwrap_err();
            assert_eq!(error.to_string(), "not a regular file", "{}", other.display());
        }
    }
}
