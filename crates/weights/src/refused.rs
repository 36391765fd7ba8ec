//! Formats that are recognised in order to be refused by name. Nothing in them is ever unpacked.

use std::{fmt, path::Path};

/// A format that is neither safetensors nor PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A pickle that `torch.save` did not write, such as one of arrays.
    Pickle,
    /// `.npz`, a zip archive of arrays.
    Numpy,
    /// HDF5, such as Keras weights.
    Hdf5,
    /// A graph for an inference engine.
    Onnx,
    /// A zip archive of something else.
    Zip,
    /// A tar archive; PyTorch wrote such files before 0.1.10.
    Tar,
    /// A gzip stream, such as `.tar.gz`.
    Gzip,
    /// The few lines that git-lfs puts in place of a file that was not fetched.
    LfsPointer,
    /// A page of HTML, such as the login page that was saved in place of a download.
    WebPage,
}

/// Where the word of a tar archive stands.
const TAR_WORD: std::ops::Range<usize> = 257..262;

impl Foreign {
    /// Whether a file has a name that PyTorch programs give to checkpoints.
    pub(crate) fn is_named_as_pytorch(path: &Path) -> bool {
        let name = path.to_string_lossy().to_ascii_lowercase();
        [".pth", ".pt", ".bin", ".ckpt", ".pth.tar"].iter().any(|ending| name.ends_with(ending))
    }

    /// What a file with this name claims to be.
    pub(crate) fn by_name(name: impl AsRef<Path>) -> Option<Foreign> {
        let extension = name.as_ref().extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "pkl" | "pickle" => Some(Foreign::Pickle),
            "npz" | "npy" => Some(Foreign::Numpy),
            "h5" | "hdf5" => Some(Foreign::Hdf5),
            "onnx" => Some(Foreign::Onnx),
            _ => None,
        }
    }

    /// What the first bytes of a file say. A safetensors file begins with the length of its
    /// header, which would be absurd in each of these cases.
    pub(crate) fn by_content(start: &[u8]) -> Option<Foreign> {
        match start {
            // A pickle opens with its protocol, 2 to 5; byte 8 of a sane header length is 0 and
            // byte 9 of a safetensors file is `{`.
            [0x80, 2..=5, rest @ ..] if rest.get(6).is_none_or(|byte| *byte != b'{') => {
                Some(Foreign::Pickle)
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Foreign::Numpy),
            [0x89, b'H', b'D', b'F', ..] => Some(Foreign::Hdf5),
            [0x1f, 0x8b, 8, ..] => Some(Foreign::Gzip),
            _ if start.starts_with(b"version https://git-lfs") => Some(Foreign::LfsPointer),
            _ if start.get(TAR_WORD).is_some_and(|word| word == b"ustar") => Some(Foreign::Tar),
            [b'<', b'!' | b'h', b'D' | b'd' | b't', ..] => Some(Foreign::WebPage),
            _ => None,
        }
    }

    /// The format of the file at `path`, if it is one of those that are refused.
    pub(crate) fn recognise(path: &Path, start: &[u8]) -> Option<Foreign> {
        Foreign::by_content(start).or_else(|| Foreign::by_name(path))
    }

    /// A zip archive at `path` that holds no pickle of PyTorch but entries like these.
    pub(crate) fn archive(path: &Path, names: &[String]) -> Foreign {
        match names.first() {
            Some(name) if name.ends_with(".npy") => Foreign::Numpy,
            _ => Foreign::by_name(path).unwrap_or(Foreign::Zip),
        }
    }

    /// How to turn the file at `path` into one that can be read.
    pub(crate) fn conversion(self, path: &Path) -> Option<String> {
        let from = path.display();
        let to = path.with_extension("safetensors");
        let to = to.display();
        match self {
            Foreign::Numpy => Some(format!(
                "convert it once where Python is: `import numpy; from safetensors.numpy import \
                 save_file; save_file(dict(numpy.load('{from}')), '{to}')`"
            )),
            Foreign::Zip | Foreign::Tar | Foreign::Gzip => {
                Some("name the weights inside of it, once it is unpacked".to_owned())
            }
            Foreign::Pickle | Foreign::Hdf5 | Foreign::Onnx => None,
            Foreign::LfsPointer => Some("fetch the file itself with `git lfs pull`".to_owned()),
            Foreign::WebPage => Some("download the file again, it may need a login".to_owned()),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Pickle => "a pickle that `torch.save` did not write",
            Foreign::Numpy => "NumPy arrays (`.npz`; not in this release)",
            Foreign::Hdf5 => "an HDF5 file (not in this release)",
            Foreign::Onnx => "an ONNX graph",
            Foreign::Zip => "a zip archive without a checkpoint of PyTorch",
            Foreign::Tar => "a tar archive",
            Foreign::Gzip => "a compressed file",
            Foreign::LfsPointer => "a git-lfs pointer instead of the file",
            Foreign::WebPage => "a web page instead of the file",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, start: &[u8], expected: Option<Foreign>) {
        assert_eq!(Foreign::recognise(Path::new(name), start), expected, "{name}");
    }

    #[test]
    fn content_counts_before_the_extension() {
        check("a.safetensors", b"\x80\x02}q\x00.", Some(Foreign::Pickle));
        check("a.safetensors", b"version https://git-lfs.github.com", Some(Foreign::LfsPointer));
        check("a.safetensors", b"<!DOCTYPE html>", Some(Foreign::WebPage));
        check("a.pth", b"<html>", Some(Foreign::WebPage));
        check("a.safetensors", b"\x89HDF\r\n\x1a\n", Some(Foreign::Hdf5));
        check("a.pth.tar", &[&[b'a'; 257][..], b"ustar\0"].concat(), Some(Foreign::Tar));
        check("a.tar.gz", b"\x1f\x8b\x08\x00", Some(Foreign::Gzip));
    }

    #[test]
    fn the_extension_counts_when_the_content_says_nothing() {
        check("a.NPZ", b"", Some(Foreign::Numpy));
        check("a.onnx", b"xx", Some(Foreign::Onnx));
        check("a.bin", &[0; 8], None);
        check("a.safetensors", &[0; 8], None);
        check("a", b"{}", None);
    }

    #[test]
    fn an_archive_is_told_by_its_entries() {
        let archive = |path: &str, name: &str| Foreign::archive(Path::new(path), &[name.into()]);
        assert_eq!(archive("a.bin", "params/w.npy"), Foreign::Numpy);
        assert_eq!(archive("a.npz", "w"), Foreign::Numpy);
        assert_eq!(archive("a.pth", "readme.txt"), Foreign::Zip);
    }

    #[test]
    fn a_header_length_may_look_like_a_pickle() {
        // 0x0280 = 640 bytes of header: the same two first bytes as pickle protocol 2.
        check("a.safetensors", b"\x80\x02\0\0\0\0\0\0{", None);
    }
}
