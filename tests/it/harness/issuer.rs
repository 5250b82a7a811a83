//! An HTTP server for one JWKS document whose answer can be changed while it runs.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::deadline::pace;
use super::message;
use super::token::{Key, jwks};
use super::wire::Wire;

/// The server. Dropping it stops it.
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What goes wrong with one fetch.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing.
    None,
    /// The answer, as it was when the request came, comes this much later.
    Late(Duration),
    /// Another answer.
    Answer(u16, &'static [u8]),
}

struct Shared {
    answer: Mutex<(u16, Vec<u8>)>,
    /// Over and over from the fetch of that number.
    faults: Mutex<(usize, Vec<Fault>)>,
    fetches: AtomicUsize,
    stop: AtomicBool,
}

impl Issuer {
    /// Serves these keys.
    pub fn serving(keys: &[&Key]) -> Self {
        let issuer = Self::failing(503);
        issuer.serve(keys);
        issuer
    }

    /// Answers with this status and no keys.
    pub fn failing(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new((status, Vec::new())),
            faults: Mutex::default(),
            fetches: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.stop.load(Ordering::SeqCst) {
                    return;
                }
                serving.answer(stream);
            }
        });
        Self { address, shared }
    }

    /// Serves these keys from now on.
    pub fn serve(&self, keys: &[&Key]) {
        self.answer_with(200, jwks(keys).to_string().as_bytes());
    }

    /// Answers with this from now on.
    pub fn answer_with(&self, status: u16, body: &[u8]) {
        *self.shared.answer.lock().unwrap() = (status, body.to_vec());
    }

    /// From now on the fetches have these faults, one after the other and over again.
    pub fn suffer(&self, faults: &[Fault]) {
        *self.shared.faults.lock().unwrap() = (self.fetches(), faults.to_vec());
    }

    /// Answers nobody for as long as this is held; who asks waits.
    pub fn hold(&self) -> impl Drop {
        self.shared.answer.lock().unwrap()
    }

    /// Where the document is.
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// How often it was asked for.
    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// That of the next fetch.
    fn fault(&self) -> Fault {
        let (from, faults) = &*self.faults.lock().unwrap();
        let nth = self.fetches.load(Ordering::SeqCst) - from;
        faults.iter().cycle().nth(nth).cloned().unwrap_or(Fault::None)
    }

    fn answer(&self, stream: TcpStream) {
        let mut wire = Wire::tcp(stream);
        if message::read_request(&mut wire).is_err() {
            return;
        }
        let (mut status, mut body) = self.answer.lock().unwrap().clone();
        match self.fault() {
            Fault::None => {}
            Fault::Late(by) => pace(by),
            Fault::Answer(other, text) => (status, body) = (other, text.to_vec()),
        }
        let head = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: application/jwk-set+json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = wire.try_send([head.as_bytes(), &body].concat());
        self.fetches.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}
