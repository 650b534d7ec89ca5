//! tar headers in the one form that a bundle has (POSIX ustar; pax where a file is 8 GiB or longer).

/// Length of a tar block.
pub(super) const BLOCK: u64 = 512;
/// Zero bytes that end the archive: two blocks.
pub(super) const END: usize = 2 * BLOCK as usize;
/// The first size that ustar's eleven octal digits cannot hold.
const PAX_FROM: u64 = 8 << 30;
/// Length of the name field, which is the first (POSIX ustar).
const NAME_FIELD: usize = 100;
/// Longer gaps than padding, pax header, pax record and header do not exist.
pub(super) const MAX_GAP: u32 = 4 * BLOCK as u32;

/// Zero bytes that pad `size` bytes of data to whole blocks.
pub(super) fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK) - size) as usize
}

/// Everything that precedes the data of the file `path` with `size` bytes of data.
pub(super) fn preamble(path: &str, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if size >= PAX_FROM {
        let record = pax_record("size", &size.to_string());
        out.extend_from_slice(header(&format!("pax/{}", path.replace('/', "-")), record.len() as u64, b'x').as_bytes());
        out.extend_from_slice(record.as_bytes());
        out.resize(out.len() + padding(record.len() as u64), 0);
    }
    // Readers take the size from the pax record; the field cannot hold it and is zero then.
    out.extend_from_slice(header(path, if size >= PAX_FROM { 0 } else { size }, b'0').as_bytes());
    out
}

/// Path and size of the file whose preamble this is. Only what [`preamble`] writes is accepted, byte for byte.
pub(super) fn parse(bytes: &[u8]) -> Result<(String, u64), String> {
    let header_at = bytes.len().checked_sub(BLOCK as usize).ok_or("a tar header is missing")?;
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&bytes[header_at..]);
    let path =
        header.path().ok().and_then(|path| path.to_str().map(str::to_owned)).ok_or("a tar header has no name")?;
    let size = if header_at == 0 {
        header.size().map_err(|_| format!("the tar header of {path:?} has no size"))?
    } else {
        let record = bytes.get(BLOCK as usize..).unwrap_or_default();
        let text = std::str::from_utf8(record).ok().and_then(|text| text.split_once("size=")).map(|(_, rest)| rest);
        let digits = text.and_then(|rest| rest.split_once('\n')).map(|(digits, _)| digits);
        digits.and_then(|digits| digits.parse().ok()).ok_or(format!("the pax header of {path:?} has no size"))?
    };
    if preamble(&path, size) == bytes {
        Ok((path, size))
    } else {
        Err(format!("the tar header of {path:?} is damaged"))
    }
}

fn header(path: &str, size: u64, kind: u8) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    // Cut where it is too long for the field, which no path of a bundle is: then it does not read back as itself.
    for (field, byte) in header.as_mut_bytes().iter_mut().take(NAME_FIELD).zip(path.bytes()) {
        *field = byte;
    }
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_cksum();
    header
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself (POSIX pax, "pax Extended Header").
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn parses_what_it_wrote() {
        let path = crate::oci::layout::blob_path(&crate::oci::Digest::of(b""));
        for size in [0, 1, 511, 512, PAX_FROM - 1, PAX_FROM, u64::MAX >> 8] {
            let bytes = preamble(&path, size);
            assert_eq!(parse(&bytes), Ok((path.clone(), size)));
            assert!(bytes.len() + 511 <= MAX_GAP as usize);
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                assert_ne!(parse(&damaged), Ok((path.clone(), size)), "byte {at} carries nothing");
            }
        }
    }

    #[test]
    fn other_readers_agree() {
        let mut archive = preamble("blobs/x", 5);
        archive.extend(b"hello");
        archive.resize(archive.len() + padding(5) + END, 0);
        let mut reader = tar::Archive::new(archive.as_slice());
        let mut entry = reader.entries().unwrap().next().unwrap().unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!((entry.path().unwrap().to_str(), text.as_str()), (Some("blobs/x"), "hello"));
        let big = preamble("blobs/x", 9 << 30);
        let mut reader = tar::Archive::new(big.as_slice());
        assert_eq!(reader.entries().unwrap().next().unwrap().unwrap().size(), 9 << 30);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
