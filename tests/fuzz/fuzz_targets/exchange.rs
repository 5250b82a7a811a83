//! The whole exchange in memory: nothing that can be misread is sent to either side, nothing that
//! nobody asked for, and nothing is left behind, whatever happens in whatever order.
#![no_main]

#[path = "../../it/messages/lenient.rs"]
#[allow(dead_code, reason = "its own test is run elsewhere")]
mod lenient;
#[path = "../../simulation/oracle.rs"]
#[allow(dead_code, reason = "some of it is for property tests")]
mod oracle;
#[path = "../../simulation/script.rs"]
#[allow(dead_code, reason = "some of it is for property tests")]
mod script;

use libfuzzer_sys::fuzz_target;
use ringgate::simulation::Blueprint;
use script::{CONFIG, Script};

thread_local! {
    static BLUEPRINT: Blueprint = Blueprint::new(CONFIG);
}

fuzz_target!(|bytes: &[u8]| {
    let script = Script::decode(bytes);
    let seen = BLUEPRINT.with(|blueprint| script.run(blueprint));
    oracle::check(&script, &seen);
});
