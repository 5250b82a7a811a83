//! Indices into a snapshot, one type each, so that they cannot be swapped.

/// Makes a newtype over `u16` that indexes one list of the snapshot.
macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// The most things of this kind that one configuration may hold.
            pub const MAX: usize = u16::MAX as usize;

            /// The id of the thing at `index`, or none where the list is longer than ids reach.
            #[must_use]
            pub fn new(index: usize) -> Option<Self> {
                u16::try_from(index).ok().map(Self)
            }

            /// The position in the list.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    };
}

index! {
    /// A listener of the snapshot.
    ListenerId
}
index! {
    /// A route of the snapshot.
    RouteId
}
index! {
    /// A token provider of the snapshot.
    ProviderId
}
index! {
    /// An upstream of the snapshot.
    UpstreamId
}

/// The number of a published snapshot; it never repeats within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
