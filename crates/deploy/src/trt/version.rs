//! Products, their versions, and what differs between them.

use std::fmt;

/// Whose engines do not run on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Product {
    /// TensorRT.
    #[serde(rename = "tensorrt")]
    Standard,
    /// TensorRT for RTX.
    #[serde(rename = "tensorrt-rtx")]
    Rtx,
}

/// Major, minor and patch, which compare in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Product::Standard => "TensorRT",
            Product::Rtx => "TensorRT-RTX",
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// Of the number by which the libraries call it: 8601 and 10701 have three and two places for
    /// what follows the major version of their product, 100300 has four.
    pub fn of(product: Product, number: u32) -> Version {
        match product == Product::Standard && number >= 100_000 {
            true => Version(number / 10_000, number / 100 % 100, number % 100),
            false if product == Product::Standard => {
                Version(number / 1000, number / 100 % 10, number % 100)
            }
            false => Version(number / 10_000, number / 100 % 100, number % 100),
        }
    }
}
