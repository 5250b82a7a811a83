//! What is made of the path of a request before it is matched and forwarded.

/// In which form the path of a request is matched and forwarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathNormalization {
    /// In normal form.
    #[default]
    On,
    /// In normal form; what has an encoded slash or backslash is refused.
    RejectEncodedSlash,
    /// As it was sent; what has a dot segment is refused.
    Off,
}
