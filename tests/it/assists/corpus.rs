//! The requests: each one on a connection of its own, which the client ends when it has sent all.
//!
//! The first segment of a path names the token rule of its route, the second what the upstream does
//! (`upstream.rs`).

use crate::harness::fixture::Fixture;
use crate::harness::token::now;
use crate::harness::{Key, Token};

/// What a client does, until it has received all there is.
pub struct Case {
    pub name: String,
    pub steps: Vec<Step>,
}

pub enum Step {
    Send(Vec<u8>),
    /// A byte at a time.
    Trickle(Vec<u8>),
    /// Waits until this has come, behind what was waited for before.
    Await(&'static [u8]),
}

use Step::{Await, Send, Trickle};

/// Signed once, so that all runs send the same bytes.
pub struct Tokens {
    pub good: String,
    rsa: String,
    scoped: String,
    expired: String,
    early: String,
    other_audience: String,
    other_issuer: String,
    unknown_key: String,
    forged: String,
    unsigned: String,
}

impl Tokens {
    pub fn signed_by(key: &Key, rsa: &Key) -> Self {
        let good = Token::new().sign(key);
        let (signed, _) = good.rsplit_once('.').unwrap();
        Self {
            rsa: Token::new().sign(rsa),
            scoped: Token::new().claim("scope", "read write").sign(key),
            expired: Token::new().claim("exp", now() - 4000).sign(key),
            early: Token::new().claim("nbf", now() + 4000).sign(key),
            other_audience: Token::new().claim("aud", "others").sign(key),
            other_issuer: Token::new().claim("iss", "https://elsewhere.test/").sign(key),
            unknown_key: Token::new().sign(&Key::ed25519("nobody's")),
            forged: Token::new().sign(&Key::ed25519(&key.kid)),
            unsigned: format!("{signed}."),
            good,
        }
    }
}

/// Stands for the host, which is the case's own, so that the upstream can tell whose request it has.
const HOST: &str = "CASE";

/// All of them; the host of each is its number.
pub fn cases(tokens: &Tokens) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(answers());
    cases.extend(bodies());
    cases.extend(judged(tokens));
    cases.extend(several(tokens));
    cases.extend(own_answers());
    cases.extend(tunnels(tokens));
    cases.extend(fixtures());
    for (number, case) in cases.iter_mut().enumerate() {
        for step in &mut case.steps {
            match step {
                Send(bytes) | Trickle(bytes) => *bytes = with_host(bytes, number),
                Await(_) => {}
            }
        }
    }
    cases
}

/// The host of a case.
pub fn host(number: usize) -> String {
    format!("case-{number}.example")
}

fn with_host(bytes: &[u8], number: usize) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(at) = memchr::memmem::find(rest, HOST.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(host(number).as_bytes());
        rest = &rest[at + HOST.len()..];
    }
    out.extend_from_slice(rest);
    out
}

fn case(name: impl Into<String>, steps: Vec<Step>) -> Case {
    Case { name: name.into(), steps }
}

fn once(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Case {
    case(name, vec![Send(bytes.into())])
}

fn get(path: &str) -> String {
    get_with(path, "")
}

fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: CASE\r\n{fields}\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: CASE\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn chunked(path: &str, chunks: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: CASE\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

fn as_bearer(path: &str, token: &str) -> String {
    get_with(path, &format!("Authorization: Bearer {token}\r\n"))
}

/// What an upstream may answer.
fn answers() -> Vec<Case> {
    let mut cases: Vec<Case> = super::upstream::ANSWERS
        .iter()
        .map(|(name, ..)| once(format!("answer {name}"), get(&format!("/open/{name}"))))
        .collect();
    cases.extend([
        once("answer to head", "HEAD /open/hello HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("chunked answer to head", "HEAD /open/chunks HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("answer to 1.0", "GET /open/hello HTTP/1.0\r\nHost: CASE\r\n\r\n"),
        once("chunked answer to 1.0", "GET /open/chunks HTTP/1.0\r\nHost: CASE\r\n\r\n"),
        once("interim answer to 1.0", "GET /open/hints HTTP/1.0\r\nHost: CASE\r\n\r\n"),
        once("a big answer", get("/open/big")),
        // Asked by GET it would be asked again, if the connection came from the pool.
        once("an upstream that closes", post("/open/closes", "")),
        once("an upstream that refuses", get("/refused/x")),
    ]);
    cases
}

fn bodies() -> Vec<Case> {
    let long = "0123456789abcdef".repeat(3000);
    let tail = "T: 1\r\nContent-Length: 5\r\nX-Fine: 2\r\n\r\n";
    let expecting = "PUT /open/continue HTTP/1.1\r\nHost: CASE\r\nContent-Length: 5\r\n\
                     Expect: 100-continue\r\n\r\n";
    let early = "POST /open/early HTTP/1.1\r\nHost: CASE\r\nContent-Length: 100\r\n\r\nsome";
    vec![
        once("a body of known length", post("/open/echo", "hello")),
        once("an empty body", post("/open/echo", "")),
        once("a long body", post("/open/echo", &long)),
        once(
            "a get with a body",
            "GET /open/echo HTTP/1.1\r\nHost: CASE\r\nContent-Length: 2\r\n\r\nhi",
        ),
        once("a put without a length", "PUT /open/echo HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("chunks", chunked("/open/echo", "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")),
        once("no chunk", chunked("/open/echo", "0\r\n\r\n")),
        once("a long chunk", chunked("/open/echo", &format!("bb80\r\n{long}\r\n0\r\n\r\n"))),
        once("trailers", chunked("/open/echo", &format!("1\r\na\r\n0\r\n{tail}"))),
        once("many small chunks", chunked("/open/echo", &("1\r\nx\r\n".repeat(500) + "0\r\n\r\n"))),
        case("a byte at a time", vec![Trickle(post("/open/echo", "hello").into())]),
        once(
            "a body that is cut",
            "POST /open/echo HTTP/1.1\r\nHost: CASE\r\nContent-Length: 9\r\n\r\ncut",
        ),
        once("chunks that are cut", chunked("/open/echo", "5\r\nhello\r\n5\r\nwo")),
        once("a body over the limit", post("/open/echo", &"x".repeat(70_000))),
        once(
            "a length over the limit",
            "POST / HTTP/1.1\r\nHost: CASE\r\nContent-Length: 70000\r\n\r\n",
        ),
        case(
            "a body after 100",
            vec![Send(expecting.into()), Await(b"100 Continue\r\n\r\n"), Send(b"hello".to_vec())],
        ),
        case("an early answer", vec![Send(early.into()), Await(b"early")]),
    ]
}

/// Tokens, good and bad, under each mode.
fn judged(tokens: &Tokens) -> Vec<Case> {
    let each = [
        ("a good token", &tokens.good),
        ("an rsa token", &tokens.rsa),
        ("a scoped token", &tokens.scoped),
        ("an expired token", &tokens.expired),
        ("an early token", &tokens.early),
        ("a token for others", &tokens.other_audience),
        ("a token of another issuer", &tokens.other_issuer),
        ("a token of an unknown key", &tokens.unknown_key),
        ("a forged token", &tokens.forged),
        ("an unsigned token", &tokens.unsigned),
        ("no token at all", &"x.y.z".to_owned()),
    ]
    .map(|(name, token)| (name, token.clone()));
    let mut cases = Vec::new();
    for mode in ["strict", "optional", "permissive", "scoped"] {
        let path = format!("/{mode}/hello");
        for (name, token) in &each {
            cases.push(once(format!("{mode}: {name}"), as_bearer(&path, token)));
        }
        cases.push(once(format!("{mode}: nothing"), get(&path)));
        let basic = get_with(&path, "Authorization: Basic dTpw\r\n");
        cases.push(once(format!("{mode}: a password"), basic));
    }
    let good = &tokens.good;
    let claimed = format!("Authorization: Bearer {good}\r\nX-User: mallory\r\nX_User: mallory\r\n");
    let twice = format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n");
    let grpc =
        format!("Authorization: Bearer {}\r\nContent-Type: application/grpc\r\n", tokens.forged);
    let body = format!(
        "POST /strict/echo HTTP/1.1\r\nHost: CASE\r\nAuthorization: Bearer {good}\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    );
    let refused_body = format!(
        "POST /strict/echo HTTP/1.1\r\nHost: CASE\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 4\r\n\r\nbody",
        tokens.expired
    );
    cases.extend([
        once("a user that the client claims to be", get_with("/strict/hello", &claimed)),
        once("two tokens", get_with("/strict/hello", &twice)),
        once("a grpc call with a forged token", get_with("/strict/hello", &grpc)),
        once("a body with a good token", body),
        once("a body with an expired token", refused_body),
    ]);
    cases
}

/// Requests that share a connection.
fn several(tokens: &Tokens) -> Vec<Case> {
    let good = as_bearer("/strict/hello", &tokens.good);
    let forged = as_bearer("/strict/hello", &tokens.forged);
    let end = "Connection: close\r\n";
    let hello: &[u8] = b"hello";
    vec![
        once("pipelined", [get("/open/hello"), get("/here"), get("/open/chunks")].concat()),
        once(
            "pipelined bodies",
            [
                post("/open/echo", "one"),
                chunked("/open/echo", "3\r\ntwo\r\n0\r\n\r\n"),
                get("/here"),
            ]
            .concat(),
        ),
        once("pipelined tokens", [good.clone(), forged.clone(), good.clone(), forged].concat()),
        once("pipelined behind an error", [post("/open/closes", ""), get("/open/hello")].concat()),
        once("behind a close", [get_with("/open/hello", end), get("/open/hello")].concat()),
        once("behind a bad request", "BAD\r\n\r\n".to_owned() + &get("/open/hello")),
        once("an empty line before", "\r\n".to_owned() + &get("/open/hello")),
        once("1.0 kept alive", "GET /here HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2)),
        once("a hundred", get("/open/hello").repeat(100)),
        case(
            "one after the other",
            vec![
                Send(good.clone().into()),
                Await(hello),
                Send(get("/strict/hello").into()),
                Await(b"401"),
                Send(good.into()),
                Await(hello),
            ],
        ),
    ]
}

/// What the gateway answers itself.
fn own_answers() -> Vec<Case> {
    let many = "X: y\r\n".repeat(200);
    vec![
        once("respond", get("/here")),
        once("respond to head", "HEAD /here HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("redirect", get("/away")),
        once("no route", get("/nowhere")),
        once("another method", "DELETE /here HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("connect", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        once("options of all", "OPTIONS * HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("an absolute target", "GET http://CASE/open/hello?q HTTP/1.1\r\nHost: CASE\r\n\r\n"),
        once("a long target", get(&format!("/open/{}", "a".repeat(3000)))),
        once("a long head", get_with("/open/hello", &format!("X: {}\r\n", "a".repeat(9000)))),
        once("many fields", get_with("/open/hello", &many)),
        once("half a head", "GET /open/hello HTTP/1.1\r\nHost: CASE\r\nX:"),
        once("nothing", ""),
        once("an unknown expectation", get_with("/open/hello", "Expect: more\r\n")),
        once(
            "fields of all kinds",
            get_with(
                "/open/hello",
                "X-One: 1\r\nConnection: x-mine\r\nX-Mine: 2\r\nTE: trailers\r\nX-Empty:\r\n\
                 Cookie: a=b; c=\"d\"\r\nX-Forwarded-For: 192.0.2.9\r\nX-Spaced:  a  b \r\n",
            ),
        ),
    ]
}

fn tunnels(tokens: &Tokens) -> Vec<Case> {
    const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
    const HEAD_END: &[u8] = b"\r\n\r\n";
    let upgrade = |path: &str, fields: &str| -> Vec<u8> {
        let fields = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{fields}");
        get_with(path, &fields).into()
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    // More than one buffer, and more than one segment.
    let long: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let long = [&b"\x82\xff\0\0\0\0\0\x03\x0d\x40\0\0\0\0"[..], &long].concat();
    let echo = |token: &str| Send(upgrade("/strict/tunnel", &bearer(token)));
    vec![
        case(
            "websocket",
            vec![echo(&tokens.good), Await(HEAD_END), Send(HELLO.into()), Await(HELLO)],
        ),
        case(
            "websocket, many messages",
            [Send(upgrade("/open/tunnel", "")), Await(HEAD_END)]
                .into_iter()
                .chain((0..50).flat_map(|_| [Send(HELLO.into()), Await(HELLO)]))
                .collect(),
        ),
        case("websocket, much", vec![echo(&tokens.good), Await(HEAD_END), Send(long.clone())]),
        case(
            "websocket, a little after much",
            vec![
                echo(&tokens.good),
                Await(HEAD_END),
                Send(long),
                Await(b"\x82\xff"),
                Send(HELLO.into()),
                Await(HELLO),
            ],
        ),
        case(
            "websocket, early bytes of the client",
            vec![Send([upgrade("/open/tunnel", ""), HELLO.into()].concat())],
        ),
        once("websocket, early bytes of the upstream", upgrade("/open/greets", "")),
        once("websocket, an upstream that ends first", upgrade("/open/leaves", "")),
        once("websocket, forged token", upgrade("/strict/tunnel", &bearer(&tokens.forged))),
        once("websocket, no token", upgrade("/strict/tunnel", "")),
        once("websocket, declined", upgrade("/open/hello", "")),
        once(
            "another protocol",
            get_with("/open/tunnel", "Connection: upgrade\r\nUpgrade: other\r\n"),
        ),
        once("upgrade without its connection", get_with("/open/hello", "Upgrade: websocket\r\n")),
    ]
}

/// Requests and responses that are refused, as the other tests have them.
fn fixtures() -> impl Iterator<Item = Case> {
    let requests = Fixture::all("refusals").into_iter();
    let requests = requests.map(|one| once(format!("refused: {}", one.name), one.bytes));
    let responses = Fixture::all("bad_responses").into_iter();
    let responses = responses.map(|one| {
        once(format!("bad response: {}", one.name), get(&format!("/open/bad/{}", one.name)))
    });
    requests.chain(responses)
}
