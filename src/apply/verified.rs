//! What was looked at again once it was to be as before.

use std::fmt;

use super::transaction::Change;

/// What was compared with what it had been, and found to be that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files and links of which everything was compared.
    pub files: usize,
    /// Files and links of which an earlier installer had recorded no times and attributes.
    pub partly: usize,
    /// Paths at which there was nothing, and is nothing again.
    pub absent: usize,
    /// Names of images.
    pub names: usize,
}

impl Verified {
    /// What was compared of `changes`, where they were taken `back`, or where they brought something back.
    pub(super) fn of(changes: &[Change], back: bool) -> Self {
        let mut verified = Self::default();
        for change in changes {
            match if back { &change.before } else { &change.restores } {
                Some(before) if before.is_complete() => verified.files += 1,
                Some(_) => verified.partly += 1,
                None if back => verified.absent += 1,
                None => {}
            }
        }
        verified
    }

    /// Whether nothing was compared.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let mut parts = Vec::new();
        if self.files > 0 {
            let files = counted(self.files, "file");
            parts.push(format!("{files} (kind, content, link target, mode, owner, modification time, attributes)"));
        }
        if self.partly > 0 {
            parts.push(format!("{} (kind, content, link target, mode, owner)", counted(self.partly, "file")));
        }
        if self.absent > 0 {
            parts.push(format!("{} absent again", counted(self.absent, "new file")));
        }
        if self.names > 0 {
            parts.push(counted(self.names, "image name"));
        }
        match parts.is_empty() {
            true => f.write_str("no file and no image name had to be restored"),
            false => write!(f, "verified: {}", parts.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_compared_is_named() {
        let some = Verified { files: 1, partly: 0, absent: 2, names: 0 };
        let text = "verified: 1 file (kind, content, link target, mode, owner, modification time, attributes); 2 new files absent again";
        assert_eq!(some.to_string(), text);
        let old = Verified { partly: 2, names: 1, ..Verified::default() };
        assert_eq!(old.to_string(), "verified: 2 files (kind, content, link target, mode, owner); 1 image name");
        assert_eq!(Verified::default().to_string(), "no file and no image name had to be restored");
    }
}
