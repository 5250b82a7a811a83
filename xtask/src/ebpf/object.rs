//! ELF objects of eBPF programs: without debug information, and compared by what they do.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use object::build::elf::{Builder, SectionData};
use object::elf::{SHF_ALLOC, SHT_STRTAB};
use object::read::elf::{ElfFile64, ElfSection64};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SectionKind,
};

type Elf<'data> = ElfFile64<'data, Endianness>;

/// The object without the sections that only debuggers read. What BTF says of types and lines
/// stays: the kernel's verifier quotes it.
pub(super) fn stripped(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(bytes)?;
    for section in &mut builder.sections {
        let name = section.name.to_string();
        section.delete = name.starts_with(".debug_") || name.starts_with(".rel.debug_");
    }
    builder.delete_orphans();
    for symbol in &mut builder.symbols {
        // A mangled name has a hash of the folder that the crate was built in.
        if symbol.name.starts_with(b"_R") {
            let name = symbol.name.rsplit(u8::is_ascii_digit).next().unwrap_or_default();
            symbol.name = name.to_vec().into();
        }
    }
    // LLVM keeps the names of sections and of symbols in one table; this writer wants two.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = SHT_STRTAB;
        names.data = SectionData::SectionString;
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}

/// A section that is loaded, with what is filled in when it is: by offset, the symbol.
#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    bytes: Vec<u8>,
    references: BTreeMap<u64, String>,
}

/// Fails unless both have the same instructions, maps and constants.
pub(super) fn require_same_program(old: &[u8], new: &[u8]) -> Result<()> {
    let (old, new) = (Elf::parse(old)?, Elf::parse(new)?);
    let (old_sections, new_sections) = (loaded(&old)?, loaded(&new)?);
    if old_sections.keys().ne(new_sections.keys()) {
        bail!("the sections are {:?} and {:?}", old_sections.keys(), new_sections.keys());
    }
    for (name, section) in &old_sections {
        if new_sections.get(name) != Some(section) {
            bail!("the section `{name}` differs");
        }
    }
    if named_places(&old) != named_places(&new) {
        bail!("the names of maps or programs differ");
    }
    Ok(())
}

fn loaded(elf: &Elf<'_>) -> Result<BTreeMap<String, Loaded>> {
    let mut sections = BTreeMap::new();
    for section in elf.sections().filter(is_loaded) {
        let mut references = BTreeMap::new();
        for (offset, relocation) in section.relocations() {
            references.insert(offset, target(elf, relocation.target())?);
        }
        let loaded = Loaded { bytes: section.data()?.to_vec(), references };
        sections.insert(section.name()?.to_owned(), loaded);
    }
    Ok(sections)
}

fn is_loaded(section: &ElfSection64<'_, '_, Endianness>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags & u64::from(SHF_ALLOC) != 0)
        && section.kind() != SectionKind::Metadata
}

fn target(elf: &Elf<'_>, target: RelocationTarget) -> Result<String> {
    let RelocationTarget::Symbol(index) = target else { bail!("a reference to no symbol") };
    let symbol = elf.symbol_by_index(index)?;
    let section = match symbol.section_index() {
        Some(section) => elf.section_by_index(section)?.name()?.to_owned(),
        None => String::new(),
    };
    Ok(format!("{section}:{}+{}", symbol.name()?, symbol.address()))
}

/// Names of maps, programs and constants, and where each one is.
fn named_places(elf: &Elf<'_>) -> BTreeMap<String, (u64, u64)> {
    elf.symbols()
        .filter(ObjectSymbol::is_global)
        .filter_map(|symbol| {
            Some((symbol.name().ok()?.to_owned(), (symbol.address(), symbol.size())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Elf, loaded, require_same_program, stripped};

    const STEER: &[u8] = include_bytes!("../../../proxy-ebpf/object/steer.o");
    const LOOKUP: &[u8] = include_bytes!("../../../proxy-ebpf/object/lookup.o");

    #[test]
    fn stripping_twice_changes_nothing() {
        assert_eq!(stripped(STEER).expect("an object"), STEER);
    }

    #[test]
    fn an_object_is_itself_and_no_other() {
        assert!(require_same_program(STEER, STEER).is_ok());
        assert!(require_same_program(STEER, LOOKUP).is_err());
    }

    #[test]
    fn one_changed_byte_of_an_instruction_is_seen() {
        let elf = Elf::parse(STEER).expect("an object");
        let sections = loaded(&elf).expect("sections");
        let code = &sections["sk_reuseport/migrate"].bytes[..64];
        let at = STEER.windows(64).position(|window| window == code).expect("its code");
        let mut changed = STEER.to_vec();
        changed[at + 4] ^= 1;
        let error = require_same_program(STEER, &changed).expect_err("a difference").to_string();
        assert_eq!(error, "the section `sk_reuseport/migrate` differs");
    }
}
