//! A client that sends raw bytes and reads responses strictly.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};

use rustls::{ClientConnection, StreamOwned};

use super::message::{self, Message, WireError};
use super::wire::Wire;

/// A client connection; the [`Wire`] below it is open to every test.
pub struct Client(Wire);

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self(Wire::connect(address))
    }

    /// Over a connection that is there.
    pub fn over(stream: TcpStream) -> Self {
        Self(Wire::tcp(stream))
    }

    /// Over a TLS connection that is there.
    pub fn over_tls(stream: StreamOwned<ClientConnection, TcpStream>) -> Self {
        Self(Wire::tls(stream))
    }

    /// Sends bytes; the gateway must take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.try_send(bytes).expect("the gateway takes the bytes");
        self
    }

    /// Reads one response to anything but HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// Reads one response to a request with this method.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Message {
        self.try_response(method).unwrap_or_else(|error| panic!("no whole response: {error:?}"))
    }

    /// Reads one response, if a whole one comes.
    pub fn try_response(&mut self, method: &str) -> Result<Message, WireError> {
        message::read_response(&mut self.0, method)
    }

    /// Sends a GET and reads the answer.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Message {
        self.get_with(path, "")
    }

    /// Sends a GET with more field lines, each with its CRLF, and reads the answer.
    #[track_caller]
    pub fn get_with(&mut self, path: &str, fields: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test.example\r\n{fields}\r\n"));
        self.response()
    }

    /// Sends a GET with a bearer token and reads the answer.
    #[track_caller]
    pub fn get_as(&mut self, path: &str, token: &str) -> Message {
        self.get_with(path, &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.0.reset();
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.0
    }
}
