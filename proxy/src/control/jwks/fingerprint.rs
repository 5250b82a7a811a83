//! What shows that a file is another one, or was written to, without reading it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// The metadata that a write or a rename over the file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) struct Fingerprint {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Fingerprint {
    /// Of the file as it is now; symbolic links are followed.
    pub(in crate::control) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_and_renaming_show_and_reading_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, "one").unwrap();
        fs::write(&other, "two").unwrap();
        let before = Fingerprint::of(&path).unwrap();
        fs::read(&path).unwrap();
        assert_eq!(Fingerprint::of(&path).unwrap(), before);
        fs::rename(&other, &path).unwrap();
        let renamed = Fingerprint::of(&path).unwrap();
        assert_ne!(renamed, before);
        fs::write(&path, "three").unwrap();
        assert_ne!(Fingerprint::of(&path).unwrap(), renamed);
    }
}
