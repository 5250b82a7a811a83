//! `path_normalization` as it is typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::path_normalization as runtime;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum PathNormalization {
    #[default]
    On,
    RejectEncodedSlash,
    Off,
}

impl From<PathNormalization> for runtime::PathNormalization {
    fn from(raw: PathNormalization) -> Self {
        match raw {
            PathNormalization::On => Self::On,
            PathNormalization::RejectEncodedSlash => Self::RejectEncodedSlash,
            PathNormalization::Off => Self::Off,
        }
    }
}
