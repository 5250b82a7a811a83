//! Upstreams that misbehave in one named way each.

use crate::harness::deadline::pace;
use crate::harness::upstream::ok;
use crate::harness::{Baseline, Client, Peer};

use super::Counted::{self, Any, Nothing, Only};
use super::check;
use super::scene::{Scene, Script, Turn, is_cut};

struct Fault {
    name: &'static str,
    counted: Counted,
    /// What the client sends.
    asks: &'static str,
    /// What comes of it.
    gets: &'static [Gets],
    /// What the upstream does on the connection; where it never gets one, none.
    does: Option<Script>,
}

/// What a client gets.
#[derive(Debug, Clone, Copy)]
enum Gets {
    /// A whole response.
    Answer(u16),
    /// A response that ends before its end.
    Cut,
    /// A reset may overtake what came before it.
    CutOr(u16),
}
use Gets::{Answer, Cut, CutOr};

const fn row(
    name: &'static str,
    counted: Counted,
    asks: &'static str,
    gets: &'static [Gets],
    does: Script,
) -> Fault {
    Fault { name, counted, asks, gets, does: Some(does) }
}

#[test]
fn upstreams_that_misbehave_leak_nothing_and_disturb_nobody() {
    let scene = Scene::start();
    let before = Baseline::take(&scene.gateway);
    let tables = [CONNECTIONS, HEADS, BODIES, EARLY, SWITCHES];
    for fault in tables.into_iter().flatten() {
        check(&scene, before, fault.name, &fault.counted, || run(&scene, fault));
    }
}

fn run(scene: &Scene, fault: &Fault) {
    if let Some(script) = fault.does {
        // A connection kept from before would have the request, and its upstream is good.
        let idle = "ringgate_upstream_connections_idle";
        scene.gateway.wait_for_metric(idle, &[], |idle| idle == 0.0);
        scene.misbehave_next(script);
    }
    let mut client = scene.asking(fault.asks);
    if fault.does.is_some() {
        scene.probe_in_turn();
        scene.let_go();
    } else {
        scene.probe();
    }
    for gets in fault.gets {
        expect(&mut client, *gets, fault.name);
    }
}

#[track_caller]
fn expect(client: &mut Client, gets: Gets, name: &str) {
    let got = client.try_response("GET");
    let is_as_expected = match (gets, &got) {
        (Answer(status), Ok(response)) => response.status() == status,
        (Cut, Err(error)) => is_cut(error),
        (CutOr(status), got) => match got {
            Ok(response) => response.status() == status,
            Err(error) => is_cut(error),
        },
        (Answer(_), Err(_)) | (Cut, Ok(_)) => false,
    };
    assert!(is_as_expected, "{name}: {got:?} instead of {gets:?}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const IMPATIENT: &str = "GET /impatient HTTP/1.1\r\nHost: a\r\n\r\n";
const TWICE: &str =
    "GET /pooled HTTP/1.1\r\nHost: a\r\n\r\nGET /pooled HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome";
const SWITCH: &str =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Takes the request, says this much, and that its fault is on.
fn says(peer: &mut Peer, turn: &Turn, bytes: impl AsRef<[u8]>) {
    peer.request();
    // The gateway may have had enough before the end of it.
    let _ = peer.try_send(bytes);
    turn.fault_is_on();
}

fn reset(peer: &mut Peer) {
    peer.reset_at_close();
}

/// In connecting, and between requests.
const CONNECTIONS: &[Fault] = &[
    Fault {
        name: "refuses connections",
        counted: Only("upstream.connect_refused"),
        asks: "GET /refused HTTP/1.1\r\nHost: a\r\n\r\n",
        gets: &[Answer(502)],
        does: None,
    },
    Fault {
        name: "never answers a SYN",
        counted: Only("upstream.connect_timeout"),
        asks: "GET /unanswered HTTP/1.1\r\nHost: a\r\n\r\n",
        gets: &[Answer(504)],
        does: None,
    },
    row("closes at once", Only("upstream.closed"), GET, &[Answer(502)], |_, turn| {
        turn.fault_is_on();
    }),
    row("resets at once", Only("upstream.closed"), GET, &[Answer(502)], |peer, turn| {
        reset(peer);
        turn.fault_is_on();
    }),
    row("closes after the request", Only("upstream.closed"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "");
    }),
    row("resets after the request", Only("upstream.closed"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "");
        reset(peer);
    }),
    row("never answers", Only("upstream.timeout"), IMPATIENT, &[Answer(504)], |peer, turn| {
        says(peer, turn, "");
        peer.wait_for_end();
    }),
    row("answers before it is asked", Nothing, GET, &[Answer(200)], |peer, turn| {
        peer.send(ok("unasked"));
        turn.fault_is_on();
        peer.wait_for_end();
    }),
    row(
        "closes a pooled connection when it is used again",
        Nothing,
        TWICE,
        &[Answer(200), Answer(200)],
        |peer, turn| {
            says(peer, turn, ok("first"));
            let _ = peer.read_exactly(1);
        },
    ),
    row(
        "resets a pooled connection when it is used again",
        Nothing,
        TWICE,
        &[Answer(200), Answer(200)],
        |peer, turn| {
            says(peer, turn, ok("first"));
            let _ = peer.read_exactly(1);
            reset(peer);
        },
    ),
    row(
        "speaks on an idle connection",
        Nothing,
        TWICE,
        &[Answer(200), Answer(200)],
        |peer, turn| {
            says(peer, turn, [ok("first"), ok("unasked")].concat());
            peer.wait_for_end();
        },
    ),
];

/// In the head of a response.
const HEADS: &[Fault] = &[
    row(
        "ends inside the status line",
        Only("upstream.closed"),
        GET,
        &[Answer(502)],
        |peer, turn| {
            says(peer, turn, "HTTP/1.1 20");
        },
    ),
    row("ends inside the head", Only("upstream.closed"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 200 OK\r\nContent-Le");
    }),
    row("resets inside the head", Only("upstream.closed"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 200 OK\r\nContent-Le");
        reset(peer);
    }),
    row(
        "stops inside the head",
        Only("upstream.timeout"),
        IMPATIENT,
        &[Answer(504)],
        |peer, turn| {
            says(peer, turn, "HTTP/1.1 200 OK\r\nContent-Le");
            peer.wait_for_end();
        },
    ),
    row("drips its head", Only("upstream.timeout"), IMPATIENT, &[Answer(504)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 200 OK\r\nX: ");
        while peer.try_send("x").is_ok() {
            pace(std::time::Duration::from_millis(5));
        }
    }),
    row("sends too many fields", Only("limit.head_fields"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(500)));
    }),
    row(
        "sends a head without an end",
        Only("limit.head_bytes"),
        GET,
        &[Answer(502)],
        |peer, turn| {
            says(peer, turn, format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1_000_000)));
        },
    ),
    row(
        "sends interim responses without an end",
        Only("upstream.too_many_interim"),
        GET,
        &[
            Answer(102),
            Answer(102),
            Answer(102),
            Answer(102),
            Answer(102),
            Answer(102),
            Answer(102),
            Answer(102),
            Answer(502),
        ],
        |peer, turn| says(peer, turn, "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000)),
    ),
    row("ends after 100 Continue", Only("upstream.closed"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 100 Continue\r\n\r\n");
    }),
    row("answers in HTTP/0.9", Only("status_line.syntax"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "<html>hello</html>\r\n");
    }),
    row("answers in HTTP/2", Only("status_line.syntax"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, b"\0\0\x12\x04\0\0\0\0\0\r\n\r\n");
    }),
    row("answers with no status", Only("status_line.status"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 999 Never\r\nContent-Length: 0\r\n\r\n");
    }),
    row("frames a body twice", Only("framing.te_and_cl"), GET, &[Answer(502)], |peer, turn| {
        let fields = "Content-Length: 3\r\nTransfer-Encoding: chunked";
        says(peer, turn, format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    }),
];

/// In and behind the body of a response.
const BODIES: &[Fault] = &[
    row("says more than it has", Only("upstream.body_cut"), GET, &[Cut], |peer, turn| {
        says(peer, turn, format!("{LENGTH}half"));
    }),
    row("resets inside the body", Only("upstream.body_cut"), GET, &[CutOr(502)], |peer, turn| {
        says(peer, turn, format!("{LENGTH}half"));
        reset(peer);
    }),
    row("ends inside a chunk", Only("upstream.body_cut"), GET, &[Cut], |peer, turn| {
        says(peer, turn, format!("{CHUNKED}a\r\nhalf"));
    }),
    row("ends before the last chunk", Only("upstream.body_cut"), GET, &[Cut], |peer, turn| {
        says(peer, turn, format!("{CHUNKED}4\r\nhalf\r\n"));
    }),
    row("sends chunks that are none", Only("chunked.size"), GET, &[CutOr(502)], |peer, turn| {
        says(peer, turn, format!("{CHUNKED}4\r\nhalf\r\nzz\r\n"));
    }),
    row(
        "sends hardly any data in its chunks",
        Only("limit.chunk_overhead"),
        "GET /small HTTP/1.1\r\nHost: a\r\n\r\n",
        &[CutOr(502)],
        |peer, turn| {
            says(peer, turn, format!("{CHUNKED}{}", "1;nothing=much=more\r\nx\r\n".repeat(1000)));
        },
    ),
    row(
        "sends trailers without an end",
        Only("limit.trailer_bytes"),
        GET,
        &[CutOr(502)],
        |peer, turn| {
            says(peer, turn, format!("{CHUNKED}1\r\nx\r\n0\r\nX: {}", "x".repeat(1_000_000)));
        },
    ),
    row("stops inside the body", Only("upstream.body_timeout"), IMPATIENT, &[Cut], |peer, turn| {
        says(peer, turn, format!("{LENGTH}half"));
        peer.wait_for_end();
    }),
    row("drips its body", Nothing, IMPATIENT, &[Answer(200)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for _ in 0..100 {
            peer.send("b");
            pace(std::time::Duration::from_millis(5));
        }
    }),
    row("says less than it has", Nothing, TWICE, &[Answer(200), Answer(200)], |peer, turn| {
        says(peer, turn, format!("{LENGTH}0123456789and more of it"));
        peer.wait_for_end();
    }),
    row("sends a body with a 204", Nothing, TWICE, &[Answer(204), Answer(200)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
        peer.wait_for_end();
    }),
    row(
        "sends no more and keeps its connection",
        Nothing,
        TWICE,
        &[Answer(200), Answer(200)],
        |peer, turn| {
            peer.request();
            peer.send(ok("first"));
            peer.finish_sending();
            turn.fault_is_on();
            peer.wait_for_end();
        },
    ),
];

/// While the request is still coming.
const EARLY: &[Fault] = &[
    row("answers early and closes", Nothing, UPLOAD, &[Answer(403)], |peer, turn| {
        peer.request_head();
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        turn.fault_is_on();
    }),
    row(
        "answers early and resets",
        Any(&["upstream.closed"]),
        UPLOAD,
        &[CutOr(403)],
        |peer, turn| {
            peer.request_head();
            peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
            turn.fault_is_on();
            reset(peer);
        },
    ),
    row("answers early and reads on", Nothing, UPLOAD, &[Answer(403)], |peer, turn| {
        peer.request_head();
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        turn.fault_is_on();
        peer.wait_for_end();
    }),
    row(
        "begins to answer early and stops",
        Any(&["upstream.closed"]),
        UPLOAD,
        &[Answer(502)],
        |peer, turn| {
            peer.request_head();
            peer.send("HTTP/1.1 403 Forb");
            turn.fault_is_on();
        },
    ),
    row(
        "closes while the body goes up",
        Any(&["upstream.closed"]),
        UPLOAD,
        &[Answer(502)],
        |peer, turn| {
            peer.request_head();
            turn.fault_is_on();
        },
    ),
    row(
        "resets while the body goes up",
        Any(&["upstream.closed"]),
        UPLOAD,
        &[Answer(502)],
        |peer, turn| {
            peer.request_head();
            turn.fault_is_on();
            reset(peer);
        },
    ),
];

/// In switching protocols.
const SWITCHES: &[Fault] = &[
    row("switches unasked", Only("upstream.unasked_switch"), GET, &[Answer(502)], |peer, turn| {
        says(peer, turn, "HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    }),
    row(
        "switches to another protocol",
        Only("upstream.unasked_switch"),
        SWITCH,
        &[Answer(502)],
        |peer, turn| {
            says(peer, turn, "HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
        },
    ),
    row("refuses to switch", Nothing, SWITCH, &[Answer(200)], |peer, turn| {
        says(peer, turn, ok("no"));
    }),
    row("ends inside a frame", Nothing, SWITCH, &[Answer(101), Cut], |peer, turn| {
        says(
            peer,
            turn,
            "HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\u{2}\u{7e}\u{7f}half",
        );
    }),
    row("resets inside a frame", Nothing, SWITCH, &[Answer(101), Cut], |peer, turn| {
        says(
            peer,
            turn,
            "HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\u{2}\u{7e}\u{7f}half",
        );
        reset(peer);
    }),
];
