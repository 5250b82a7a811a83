//! Files replaced in every way that tools have, with the kernel's own inotify.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc::RecvTimeoutError;

use super::*;

/// Reached by failures only.
const PATIENCE: Duration = Duration::from_secs(10);
/// For what must not come: long after what would have come.
const SILENCE: Duration = Duration::from_millis(150);

struct Case {
    folder: tempfile::TempDir,
    watcher: Watcher,
    events: Receiver<Event>,
}

impl Case {
    /// Watches these files of a folder that `prepare` has filled.
    fn new(files: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let (sender, events) = channel();
        let case = Self { watcher: Watcher::start(sender), events, folder };
        case.watch(files);
        case
    }

    /// Watches these files, and a new one that shows when the watches are set.
    fn watch(&self, files: &[&str]) {
        let probe = tempfile::tempdir().unwrap();
        let probe_file = probe.path().join("probe");
        let mut files: Vec<_> = files.iter().map(|file| self.path(file)).collect();
        files.push(probe_file.clone());
        self.watcher.watch(files);
        loop {
            fs::write(&probe_file, "x").unwrap();
            match self.events.recv_timeout(Duration::from_millis(10)) {
                Ok(Event::FileChanged { path }) if path == probe_file => break,
                Ok(Event::FileChanged { .. }) => {}
                Ok(other) => panic!("{other:?}"),
                Err(_) => fs::remove_file(&probe_file).unwrap(),
            }
        }
        // New ones that are there are told of, too.
        while self.events.recv_timeout(SILENCE).is_ok() {}
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    #[track_caller]
    fn expect(&self, name: &str) {
        match self.events.recv_timeout(PATIENCE) {
            Ok(Event::FileChanged { path }) => assert_eq!(path, self.path(name)),
            other => panic!("{other:?}"),
        }
    }

    /// As [`Self::expect`], where a file may be seen before it is whole, and again then.
    #[track_caller]
    fn expect_some(&self, name: &str) {
        self.expect(name);
        while let Ok(Event::FileChanged { path }) = self.events.recv_timeout(SILENCE) {
            assert_eq!(path, self.path(name));
        }
    }

    #[track_caller]
    fn expect_silence(&self) {
        let next = self.events.recv_timeout(SILENCE);
        assert!(matches!(next, Err(RecvTimeoutError::Timeout)), "{next:?}");
    }
}

#[test]
fn a_rename_and_a_write_show_once_each() {
    let case = Case::new(&["a"], |folder| fs::write(folder.join("a"), "1").unwrap());
    case.expect_silence();
    case.write("a.next", "22");
    case.expect_silence();
    case.rename("a.next", "a");
    case.expect("a");
    case.expect_silence();
    case.write("a", "333");
    case.expect("a");
}

#[test]
fn a_file_that_is_being_written_is_not_told_of() {
    use std::io::Write;
    let case = Case::new(&["a"], |_| {});
    let mut file = fs::File::create(case.path("a")).unwrap();
    file.write_all(b"half").unwrap();
    case.expect_silence();
    file.write_all(b"whole").unwrap();
    drop(file);
    case.expect("a");
}

#[test]
fn several_files_of_one_folder_are_told_apart() {
    let case = Case::new(&["a", "b"], |folder| {
        fs::write(folder.join("a"), "1").unwrap();
        fs::write(folder.join("b"), "1").unwrap();
    });
    case.write("b", "22");
    case.expect("b");
    case.write("c", "22");
    case.write("a", "22");
    case.expect("a");
    case.expect_silence();
}

#[test]
fn a_mounted_config_map_is_swapped() {
    let case = Case::new(&["a"], |folder| {
        for version in ["..1", "..2"] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("a"), version).unwrap();
        }
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/a", folder.join("a")).unwrap();
    });
    symlink("..2", case.path("..data_tmp")).unwrap();
    case.rename("..data_tmp", "..data");
    case.expect("a");
    // What it leads to is watched from now on.
    case.write("..2/a", "another");
    case.expect_some("a");
    fs::remove_dir_all(case.path("..1")).unwrap();
    case.expect_silence();
}

#[test]
fn a_link_in_the_middle_of_a_path_is_swapped() {
    let case = Case::new(&["current/a"], |folder| {
        for version in ["v1", "v2"] {
            fs::create_dir(folder.join(version)).unwrap();
            fs::write(folder.join(version).join("a"), version).unwrap();
        }
        symlink(folder.join("v1"), folder.join("current")).unwrap();
    });
    symlink(case.path("v2"), case.path("next")).unwrap();
    case.rename("next", "current");
    case.expect("current/a");
}

#[test]
fn a_folder_may_come_late_go_and_come_again() {
    let case = Case::new(&["x/y/a"], |_| {});
    for text in ["1", "22"] {
        fs::create_dir_all(case.path("x/y")).unwrap();
        case.write("x/y/a", text);
        case.expect_some("x/y/a");
        fs::remove_dir_all(case.path("x")).unwrap();
    }
    case.expect_silence();
    fs::create_dir_all(case.path("next/y")).unwrap();
    case.write("next/y/a", "333");
    case.rename("next", "x");
    case.expect("x/y/a");
}

#[test]
fn a_folder_is_renamed_away_and_another_takes_its_place() {
    let case = Case::new(&["x/a"], |folder| {
        for name in ["x", "next"] {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("a"), name).unwrap();
        }
    });
    case.rename("x", "old");
    case.rename("next", "x");
    case.expect("x/a");
    case.write("old/a", "of no interest");
    case.expect_silence();
}

#[test]
fn what_is_not_wanted_any_more_is_silent() {
    let case = Case::new(&["a", "b"], |_| {});
    case.watch(&["b"]);
    case.write("a", "1");
    case.expect_silence();
    case.write("b", "1");
    case.expect("b");
}

#[test]
fn what_cannot_be_watched_is_looked_at_often() {
    let (sender, events) = channel();
    let works = Arc::new(AtomicBool::new(true));
    let watcher = Watcher { thread: None, works: Arc::clone(&works) };
    assert_eq!(watcher.look_every(), SELDOM);
    let no_inotify = fs::File::open("/dev/null").unwrap().into();
    let mut watch = Watch::new(no_inotify, works, sender);
    watch.want(vec!["/dev/zero".into()]);
    assert_eq!(watcher.look_every(), OFTEN);
    assert!(events.try_recv().is_ok(), "it may have changed before");
}

#[test]
fn links_that_lead_in_a_circle_end() {
    let folder = tempfile::tempdir().unwrap();
    symlink("b", folder.path().join("a")).unwrap();
    symlink("a", folder.path().join("b")).unwrap();
    let names: BTreeSet<_> =
        places(&folder.path().join("a")).into_iter().map(|(_, name)| name).collect();
    assert!(names.contains(OsStr::new("a")) && names.contains(OsStr::new("b")));
}
