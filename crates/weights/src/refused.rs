//! Formats that are recognised in order to be refused by name. Nothing in them is ever unpacked.

use std::{fmt, path::Path};

/// A format that is not safetensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A zip archive written by `torch.save`, or a bare pickle.
    PyTorch,
    /// A PyTorch Lightning checkpoint, which is a pickle too.
    Lightning,
    /// `.npz`, a zip archive of arrays.
    Numpy,
    /// HDF5, such as Keras weights.
    Hdf5,
    /// A zip archive without a telling extension.
    Zip,
    /// The few lines that git-lfs puts in place of a file that was not fetched.
    LfsPointer,
    /// A page of HTML, such as the login page that was saved in place of a download.
    WebPage,
}

impl Foreign {
    /// What a file with this name claims to be.
    pub(crate) fn by_name(name: impl AsRef<Path>) -> Option<Foreign> {
        let extension = name.as_ref().extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "pth" | "pt" | "bin" | "pkl" | "pickle" => Some(Foreign::PyTorch),
            "ckpt" => Some(Foreign::Lightning),
            "npz" | "npy" => Some(Foreign::Numpy),
            "h5" | "hdf5" => Some(Foreign::Hdf5),
            _ => None,
        }
    }

    /// What the first bytes of a file say. A safetensors file begins with the length of its
    /// header, which would be absurd in each of these cases.
    pub(crate) fn by_content(start: &[u8]) -> Option<Foreign> {
        match start {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Foreign::Zip),
            // A pickle opens with its protocol, 2 to 5; byte 8 of a sane header length is 0 and
            // byte 9 of a safetensors file is `{`.
            [0x80, 2..=5, rest @ ..] if rest.get(6).is_none_or(|byte| *byte != b'{') => {
                Some(Foreign::PyTorch)
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Foreign::Numpy),
            [0x89, b'H', b'D', b'F', ..] => Some(Foreign::Hdf5),
            _ if start.starts_with(b"version https://git-lfs") => Some(Foreign::LfsPointer),
            [b'<', b'!' | b'h', b'D' | b'd' | b't', ..] => Some(Foreign::WebPage),
            _ => None,
        }
    }

    /// The format of the file at `path`, if it is one of those that are refused.
    pub(crate) fn recognise(path: &Path, start: &[u8]) -> Option<Foreign> {
        let by_name = Foreign::by_name(path);
        match Foreign::by_content(start) {
            // The extension knows better what kind of archive it is.
            Some(Foreign::Zip) => by_name.or(Some(Foreign::Zip)),
            Some(foreign) => Some(foreign),
            None => by_name,
        }
    }

    /// How to turn the file at `path` into one that can be read.
    pub(crate) fn conversion(self, path: &Path) -> Option<String> {
        let from = path.display();
        let to = path.with_extension("safetensors");
        let to = to.display();
        match self {
            Foreign::PyTorch | Foreign::Zip => Some(format!(
                "convert it once where Python is: `import torch; from safetensors.torch import \
                 save_file; save_file({{k: v.contiguous().clone() for k, v in torch.load('{from}', \
                 map_location='cpu', weights_only=True).items()}}, '{to}')`"
            )),
            Foreign::Lightning => Some(format!(
                "convert it once where Python is: `import torch; from safetensors.torch import \
                 save_file; save_file({{k: v.contiguous().clone() for k, v in torch.load('{from}', \
                 map_location='cpu', weights_only=True)['state_dict'].items()}}, '{to}')`"
            )),
            Foreign::Numpy => Some(format!(
                "convert it once where Python is: `import numpy; from safetensors.numpy import \
                 save_file; save_file(dict(numpy.load('{from}')), '{to}')`"
            )),
            Foreign::Hdf5 => None,
            Foreign::LfsPointer => Some("fetch the file itself with `git lfs pull`".to_owned()),
            Foreign::WebPage => Some("download the file again, it may need a login".to_owned()),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::PyTorch => "a PyTorch pickle (`.pth`, `.pt`, `.bin`; not in this release)",
            Foreign::Lightning => "a PyTorch Lightning checkpoint (`.ckpt`; not in this release)",
            Foreign::Numpy => "NumPy arrays (`.npz`; not in this release)",
            Foreign::Hdf5 => "an HDF5 file (not in this release)",
            Foreign::Zip => "a zip archive, as `torch.save` writes it (not in this release)",
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
        check("a.safetensors", b"PK\x03\x04rest", Some(Foreign::Zip));
        check("a.pth", b"PK\x03\x04rest", Some(Foreign::PyTorch));
        check("a.npz", b"PK\x03\x04rest", Some(Foreign::Numpy));
        check("a.safetensors", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", Some(Foreign::PyTorch));
        check("a.safetensors", b"version https://git-lfs.github.com", Some(Foreign::LfsPointer));
        check("a.safetensors", b"<!DOCTYPE html>", Some(Foreign::WebPage));
        check("a.safetensors", b"<html>", Some(Foreign::WebPage));
        check("a.safetensors", b"\x89HDF\r\n\x1a\n", Some(Foreign::Hdf5));
    }

    #[test]
    fn the_extension_counts_when_the_content_says_nothing() {
        check("a.PTH", b"", Some(Foreign::PyTorch));
        check("a.ckpt", b"xx", Some(Foreign::Lightning));
        check("a.bin", &[0; 8], Some(Foreign::PyTorch));
        check("a.safetensors", &[0; 8], None);
        check("a", b"{}", None);
    }

    #[test]
    fn a_header_length_may_look_like_a_pickle() {
        // 0x0280 = 640 bytes of header: the same two first bytes as pickle protocol 2.
        check("a.safetensors", b"\x80\x02\0\0\0\0\0\0{", None);
    }
}
