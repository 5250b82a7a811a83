//! An array map as memory that this process and the programs share.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya::Pod;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Off;

/// Values of an array map made with BPF_F_MMAPABLE. The kernel keeps the map as long as it is
/// mapped, so no descriptor is needed.
#[derive(Debug)]
pub(super) struct SharedArray<V> {
    start: NonNull<V>,
    count: u32,
}

// SAFETY: the mapping belongs to no thread, and its values are reached by atomics only.
unsafe impl<V> Send for SharedArray<V> {}
// SAFETY: as above.
unsafe impl<V> Sync for SharedArray<V> {}

impl<V: Pod> SharedArray<V> {
    /// The kernel's stride is the value's size rounded up to 8: the types of the ABI are so.
    const STRIDE_IS_SIZE: () = assert!(size_of::<V>().is_multiple_of(8));

    /// Maps the `count` values of the map behind a descriptor.
    pub(super) fn map(map: BorrowedFd<'_>, count: u32) -> Result<Self, Off> {
        let () = Self::STRIDE_IS_SIZE;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours. It
        // is as long as the map's values, and is unmapped by our drop only.
        let start =
            unsafe { mmap(std::ptr::null_mut(), Self::bytes(count), protection, flags, map, 0) };
        let start =
            start.map_err(|errno| Off::Call { call: "mmap of a map", error: errno.into() })?;
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address 0");
        Ok(Self { start, count })
    }
}

impl<V> SharedArray<V> {
    fn bytes(count: u32) -> usize {
        count as usize * size_of::<V>()
    }

    /// The word at an offset in a value.
    pub(super) fn word(&self, index: u32, offset: usize) -> &AtomicU32 {
        let word = self.field(index, offset);
        // SAFETY: an aligned word in the mapping, which lives as long as `self`; programs and
        // processes read and write whole words.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// The double word at an offset in a value.
    pub(super) fn double_word(&self, index: u32, offset: usize) -> &AtomicU64 {
        let double_word = self.field(index, offset);
        // SAFETY: as for `word`.
        unsafe { AtomicU64::from_ptr(double_word) }
    }

    /// An `F` at an offset in a value, aligned and in the mapping.
    fn field<F>(&self, index: u32, offset: usize) -> *mut F {
        assert!(index < self.count, "an index comes from the owner of the array");
        assert!(offset.is_multiple_of(size_of::<F>()) && offset + size_of::<F>() <= size_of::<V>());
        // SAFETY: the index is below the count, so that the value lies in the mapping.
        let value = unsafe { self.start.add(index as usize) };
        // SAFETY: the offset lies in the value.
        unsafe { value.cast::<u8>().add(offset) }.cast().as_ptr()
    }
}

impl<V> Drop for SharedArray<V> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more. Fails for no mapping
        // that mmap made.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), Self::bytes(self.count)) };
    }
}
