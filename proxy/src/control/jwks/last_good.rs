//! The last good text of each remote source on disk, so that a restart does not need the issuer;
//! and what else a restart must not forget.
//!
//! A file is a SHA-256 in hex, a line feed and the text. The digest covers the place as well, so that
//! a file never stands in for another source. Its modification time is when the issuer last
//! confirmed it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::crypto::digest::{SHA256, digest};

const HEX_BYTES: usize = 64;

/// The directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) struct LastGood {
    directory: PathBuf,
    extension: &'static str,
    bytes_max: usize,
}

impl LastGood {
    /// Keeps texts of at most `bytes_max` in files whose names end in `extension`.
    pub(in crate::control) fn new(
        directory: PathBuf,
        extension: &'static str,
        bytes_max: usize,
    ) -> Self {
        Self { directory, extension, bytes_max }
    }

    /// Keeps a text, in place of the one before.
    pub(in crate::control) fn keep(&self, place: &str, body: &[u8]) -> io::Result<()> {
        let (path, next) = (self.path(place), self.path(place).with_extension("next"));
        let _ = fs::remove_file(&next);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(format!("{}\n", checksum(place, body)).as_bytes())?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(next, path)
    }

    /// Notes that the text is good still.
    pub(in crate::control) fn confirm(&self, place: &str) -> io::Result<()> {
        File::options().write(true).open(self.path(place))?.set_modified(SystemTime::now())
    }

    /// The text and when it was confirmed; nothing where it is absent, damaged, or writable by
    /// others.
    pub(in crate::control) fn load(&self, place: &str) -> Option<(Vec<u8>, SystemTime)> {
        let path = self.path(place);
        let metadata = fs::symlink_metadata(&path).ok()?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o022 != 0 {
            tracing::warn!(file = %path.display(), "what was kept is ignored: others may write it");
            return None;
        }
        let text = read(&path, self.bytes_max)?;
        let (sum, body) = text.split_at_checked(HEX_BYTES + 1)?;
        if sum != format!("{}\n", checksum(place, body)).as_bytes() {
            tracing::warn!(file = %path.display(), "what was kept is ignored: damaged");
            return None;
        }
        Some((body.to_vec(), metadata.modified().ok()?))
    }

    fn path(&self, place: &str) -> PathBuf {
        let name = hex(digest(&SHA256, place.as_bytes()).as_ref());
        self.directory.join(format!("{name}.{}", self.extension))
    }
}

/// The digest makes the file longer than a text may be.
fn read(path: &Path, bytes_max: usize) -> Option<Vec<u8>> {
    let length = fs::metadata(path).ok()?.len();
    (length <= (bytes_max + HEX_BYTES + 1) as u64).then(|| fs::read(path).ok()).flatten()
}

fn checksum(place: &str, body: &[u8]) -> String {
    hex(digest(&SHA256, &[place.as_bytes(), b"\0", body].concat()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_damage_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let kept = LastGood::new(folder.path().to_owned(), "jwks", 100);
        assert_eq!(kept.load("https://a"), None);
        kept.keep("https://a", b"one").unwrap();
        kept.keep("https://a", b"two").unwrap();
        assert_eq!(kept.load("https://a").unwrap().0, b"two");
        assert_eq!(kept.load("https://b"), None);
        let path = kept.path("https://a");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
        fs::copy(&path, kept.path("https://b")).unwrap();
        assert_eq!(kept.load("https://b"), None, "of another place");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert_eq!(kept.load("https://a"), None, "cut");
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(kept.load("https://a"), None, "others may write it");
    }

    #[test]
    fn a_confirmation_moves_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let kept = LastGood::new(folder.path().to_owned(), "jwks", 100);
        kept.keep("https://a", b"one").unwrap();
        let file = File::options().write(true).open(kept.path("https://a")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(kept.load("https://a").unwrap().1, SystemTime::UNIX_EPOCH);
        kept.confirm("https://a").unwrap();
        assert!(kept.load("https://a").unwrap().1 > SystemTime::UNIX_EPOCH);
    }
}
