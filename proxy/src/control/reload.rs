//! What a new configuration asks for beyond the next snapshot: sockets to open, or a restart.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::assists::Impossible;
use super::certificates::CertificateError;
use super::config::{Config, ConfigErrors, ListenerConfig};
use super::publish::Opened;
use crate::telemetry::counters::OutOfCells;
use crate::worker;

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// It is one, but not one that a running process can take.
    #[error("{}: a restart is needed for that", settings.join(", "))]
    NeedsRestart {
        /// What has changed.
        settings: Vec<&'static str>,
    },
    /// A new listener has no socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The kernel does not do what is asked of it by name.
    #[error(transparent)]
    Assist(#[from] Impossible),
    /// A new certificate is no good.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Too many names.
    #[error(transparent)]
    Cells(#[from] OutOfCells),
    /// The gateway is on its way out.
    #[error("the gateway is draining")]
    Draining,
}

/// A listener that cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("listener {name}: cannot listen on {address}: {source}{}", only_a_restart(*.ours))]
pub struct BindError {
    /// The listener's name.
    pub name: Box<str>,
    /// As configured.
    pub address: SocketAddr,
    /// As the kernel has it.
    pub source: io::Error,
    /// A listener of this process that is in the way.
    pub ours: Option<SocketAddr>,
}

fn only_a_restart(ours: Option<SocketAddr>) -> String {
    let note = |ours| format!("; the gateway itself listens on {ours}, which a restart can change");
    ours.map(note).unwrap_or_default()
}

/// A listener and the address that it really has: port 0 is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// As configured.
    pub listener: ListenerConfig,
    /// As the kernel has it.
    pub address: SocketAddr,
}

/// Opens one socket a worker for each listener that is not bound yet: all or none. One with the
/// configured address of another before goes on with its socket, whatever its name. Returns what
/// will be bound and the new sockets of each worker.
///
/// # Errors
/// On the first listener that cannot listen; what was opened before it is closed again.
pub fn open_listeners(
    listeners: &[ListenerConfig],
    bound: &[Bound],
    workers: usize,
) -> Result<(Vec<Bound>, Vec<Opened>), BindError> {
    let mut after = Vec::with_capacity(listeners.len());
    let mut opened: Vec<Opened> = (0..workers).map(|_| Vec::new()).collect();
    for listener in listeners {
        if let Some(there) = bound.iter().find(|there| there.listener.address == listener.address) {
            after.push(Bound { listener: listener.clone(), address: there.address });
            continue;
        }
        let failed = |source| BindError {
            name: listener.name.clone(),
            address: listener.address,
            source,
            ours: bound.iter().map(|there| there.address).find(|there| {
                let whole = there.ip().is_unspecified() || listener.address.ip().is_unspecified();
                whole && there.port() == listener.address.port()
            }),
        };
        let sockets = worker::bind(listener.address, workers).map_err(failed)?;
        let address = sockets.first().map(TcpListener::local_addr).transpose().map_err(failed)?;
        let address = address.unwrap_or(listener.address);
        after.push(Bound { listener: listener.clone(), address });
        for (mine, socket) in opened.iter_mut().zip(sockets) {
            mine.push((listener.address, Arc::new(socket)));
        }
    }
    Ok((after, opened))
}

/// Settings that only a start can change, of those that differ.
///
/// # Errors
/// When there is one.
pub fn check_changeable(old: &Config, new: &Config) -> Result<(), ReloadError> {
    let fixed = [
        ("workers", old.workers != new.workers),
        ("admin", old.admin != new.admin),
        ("access_log", old.access_log != new.access_log),
        ("log", old.log != new.log),
        ("kernel.splice", old.kernel.splice != new.kernel.splice),
    ];
    let settings: Vec<_> =
        fixed.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect();
    if settings.is_empty() { Ok(()) } else { Err(ReloadError::NeedsRestart { settings }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, address: &str) -> ListenerConfig {
        ListenerConfig::new(name, address.parse().unwrap())
    }

    fn config(text: &str) -> Config {
        crate::control::config::parse(text, std::path::Path::new("test.json")).unwrap()
    }

    #[test]
    fn what_only_a_start_can_change_is_named() {
        let listeners = r#""listeners":[{"name":"a","address":"127.0.0.1:0"}],
            "routes":[{"match":{"path":"/"},"respond":{"status":204}}]"#;
        let old = config(&format!("{{{listeners}}}"));
        assert!(
            check_changeable(
                &old,
                &config(&format!("{{{listeners},\"limits\":{{\"connections\":9}}}}"))
            )
            .is_ok()
        );
        let new =
            config(&format!(r#"{{{listeners},"workers":3,"admin":{{"address":"127.0.0.1:0"}}}}"#));
        let error = check_changeable(&old, &new).unwrap_err().to_string();
        assert_eq!(error, "workers, admin: a restart is needed for that");
    }

    #[test]
    fn only_new_listeners_are_opened() {
        let first = listener("a", "127.0.0.1:0");
        let (bound, opened) = open_listeners(std::slice::from_ref(&first), &[], 2).unwrap();
        assert_ne!(bound[0].address.port(), 0);
        assert_eq!(opened.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        let both = [first.clone(), listener("b", "127.0.0.2:0")];
        let (after, more) = open_listeners(&both, &bound, 2).unwrap();
        assert_eq!(after[0], bound[0], "the first keeps its socket");
        assert_ne!(after[1].address, after[0].address);
        assert_eq!(more.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        let (fewer, none) = open_listeners(&[], &after, 2).unwrap();
        assert!(fewer.is_empty() && none.iter().all(Vec::is_empty));
    }

    #[test]
    fn a_renamed_listener_keeps_its_socket() {
        for address in ["127.0.0.1:1", "127.0.0.1:0"] {
            let at = "127.0.0.1:1".parse().unwrap();
            let bound = [Bound { listener: listener("old", address), address: at }];
            let (after, opened) = open_listeners(&[listener("new", address)], &bound, 1).unwrap();
            assert_eq!((&*after[0].listener.name, after[0].address), ("new", at));
            assert!(opened[0].is_empty());
        }
    }

    #[test]
    fn a_listener_in_its_own_way_is_named() {
        let (bound, _held) = open_listeners(&[listener("a", "127.0.0.1:0")], &[], 1).unwrap();
        let wider = format!("0.0.0.0:{}", bound[0].address.port());
        let error = open_listeners(&[listener("a", &wider)], &bound, 1).unwrap_err();
        assert_eq!(error.ours, Some(bound[0].address));
        let note = format!("; the gateway itself listens on {}, which", bound[0].address);
        assert!(error.to_string().contains(&note), "{error}");
    }

    #[test]
    fn a_port_in_use_names_the_listener_and_closes_the_others() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let (taken_at, free_at) = (taken.local_addr().unwrap(), free.local_addr().unwrap());
        drop(free);
        let wanted = [listener("x", &free_at.to_string()), listener("y", &taken_at.to_string())];
        let error = open_listeners(&wanted, &[], 2).unwrap_err();
        assert_eq!((&*error.name, error.address), ("y", taken_at));
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with("listener y: cannot listen on "));
        assert!(TcpListener::bind(free_at).is_ok(), "the first one's socket is closed again");
    }
}
