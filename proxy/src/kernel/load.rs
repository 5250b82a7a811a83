//! The built programs, embedded, and how one of them becomes maps and a program in the kernel.

use std::os::fd::AsFd;

use aya::maps::{Array, Map, MapError};
use aya::programs::Program;
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};

use super::lines::Lines;
use super::shared_array::SharedArray;
use super::{Assist, Off};

/// What `cargo xtask ebpf` built.
const fn object(assist: Assist) -> &'static [u8] {
    match assist {
        Assist::Shield => include_bytes_aligned!("../../../proxy-ebpf/object/shield.o"),
        Assist::Steering => include_bytes_aligned!("../../../proxy-ebpf/object/steer.o"),
        Assist::Lookup => include_bytes_aligned!("../../../proxy-ebpf/object/lookup.o"),
        Assist::Splice => include_bytes_aligned!("../../../proxy-ebpf/object/splice.o"),
    }
}

/// An object whose maps exist; its program is not loaded yet.
pub(super) struct Loaded {
    assist: Assist,
    ebpf: Ebpf,
}

impl Loaded {
    pub(super) fn new(assist: Assist, loader: &mut EbpfLoader<'_>) -> Result<Self, Off> {
        Ok(Self { assist, ebpf: loader.load(object(assist))? })
    }

    /// Takes a map out, as the type that fits it. A map that is dropped before the program is
    /// loaded is gone, and the program cannot be loaded.
    pub(super) fn map<M>(&mut self, name: &'static str) -> Result<M, Off>
    where
        M: TryFrom<Map, Error = MapError>,
    {
        let map = self.ebpf.take_map(name).ok_or_else(|| self.without(name))?;
        Ok(M::try_from(map)?)
    }

    /// Takes out an array that is shared as memory, after the program was loaded.
    pub(super) fn shared_array<V: Pod>(
        &mut self,
        name: &'static str,
    ) -> Result<SharedArray<V>, Off> {
        let map = self.ebpf.take_map(name).ok_or_else(|| self.without(name))?;
        let count = Array::<_, V>::try_from(&map)?.len();
        match &map {
            Map::Array(data) => SharedArray::map(data.fd().as_fd(), count),
            _ => Err(self.without(name)),
        }
    }

    /// Takes out the lines that the program writes, before it is loaded.
    pub(super) fn lines(&mut self) -> Result<Lines, Off> {
        Lines::of(&mut self.ebpf).ok_or_else(|| self.without("AYA_LOGS"))
    }

    /// The program, as the type that fits it.
    pub(super) fn program<'p, P>(&'p mut self, name: &'static str) -> Result<&'p mut P, Off>
    where
        &'p mut P: TryFrom<&'p mut Program>,
    {
        let missing = self.without(name);
        match self.ebpf.program_mut(name).map(TryFrom::try_from) {
            Some(Ok(program)) => Ok(program),
            Some(Err(_)) | None => Err(missing),
        }
    }

    fn without(&self, what: &'static str) -> Off {
        Off::NotInObject { assist: self.assist.name(), what }
    }
}
