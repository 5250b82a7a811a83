//! Bans for forged tokens, from the first one to the end: in the kernel and at the accept, counted or
//! enforced, and who is never banned.

use ringgate::kernel::Assist;
use serde_json::{Value, json};

use super::guarded::{FIRST, FIRST_V6, Fate, Guarded, OTHER_V6, SECOND, SECOND_V6, THIRD};
use super::possible;
use crate::harness::{Key, Token, wait_until};

const TEST: &str = "kernel::bans";
/// Of the rule below.
const ENOUGH: usize = 3;

fn ban(mode: &str, duration: &str) -> Value {
    json!({ "mode": mode, "invalid_tokens": ENOUGH, "within": "1h", "duration": duration })
}

#[test]
fn a_shadow_ban_is_counted_and_shown_and_refuses_nothing() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    // Shadow is what an absent mode means.
    let ban = json!({ "invalid_tokens": ENOUGH, "within": "1h" });
    let guarded = Guarded::new(json!({ "interfaces": ["rg0"], "ban": ban }));
    let mut open = guarded.client(FIRST);
    guarded.present(FIRST, &guarded.forged_token(), ENOUGH - 1);
    // One that is good and one that is in the cache by now: neither changes the count, both are answered.
    assert_eq!(open.get_as("/", &guarded.good_token()).status(), 200);
    assert_eq!(guarded.banned(), Vec::<String>::new());
    guarded.present(FIRST, &guarded.forged_token(), 1);
    guarded.wait_for_bans(&["10.88.0.2/32"]);

    assert_eq!(open.get_as("/", &guarded.good_token()).status(), 200);
    assert_eq!(guarded.fate(FIRST), Fate::Served);
    let shield = guarded.shield();
    assert_eq!(shield["ban_mode"], "shadow");
    assert_eq!(shield["xdp"]["on"], true, "{shield}");
    assert!(shield["frames"]["passed_shadow_ban"].as_u64() > Some(0), "{shield}");
    assert_eq!(shield["frames"]["dropped_banned"], 0);
    let ban = &shield["bans"][0];
    assert_eq!((&ban["mode"], &ban["times"]), (&json!("shadow"), &json!(1)));
    assert_eq!((&ban["listener"], &ban["route"]), (&json!("public"), &json!("api")));
    assert_eq!(ban["invalid_tokens"], ENOUGH);
    let shadow = &["mode=\"shadow\""];
    assert_eq!(guarded.metric("ringgate_bans", shadow), 1.0);
    assert_eq!(guarded.metric("ringgate_bans_begun_total", shadow), 1.0);
    assert_eq!(guarded.metric("ringgate_bans_begun_total", &["mode=\"enforce\""]), 0.0);
    let barred =
        |by: &str| guarded.metric("ringgate_connections_barred_total", &[&format!("by=\"{by}\"")]);
    assert_eq!((barred("shadow_ban"), barred("ban")), (1.0, 0.0));
    let frames = "ringgate_shield_frames_total";
    assert!(guarded.metric(frames, &["verdict=\"passed_shadow_ban\""]) > 0.0);
    guarded.gateway.wait_for_line(&["source banned", "10.88.0.2/32", "shadow", "10m"]);

    // Tokens during the ban are more evidence.
    guarded.present(FIRST, &guarded.forged_token(), 2);
    wait_until("the evidence", || {
        (guarded.shield()["bans"][0]["invalid_tokens"] == ENOUGH + 2).then_some(())
    });
}

#[test]
fn an_enforced_ban_drops_in_both_modes_until_it_is_lifted() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    for mode in ["native", "generic"] {
        let shield = json!({ "interfaces": ["rg0"], "mode": mode, "ban": ban("enforce", "1h") });
        let guarded = Guarded::new(shield);
        for (source, prefix, also, not) in
            [(FIRST, "10.88.0.2/32", FIRST, SECOND), (FIRST_V6, "fd88::/64", SECOND_V6, OTHER_V6)]
        {
            guarded.present(source, &guarded.forged_token(), ENOUGH);
            guarded.wait_for_bans(&[prefix]);
            assert_eq!(guarded.fate(source), Fate::Dropped, "{mode}");
            assert_eq!(guarded.fate(also), Fate::Dropped, "{mode}");
            assert_eq!(guarded.fate(not), Fate::Served, "{mode}");
            let shield = guarded.shield();
            assert!(shield["frames"]["dropped_banned"].as_u64() > Some(0), "{shield}");
            assert_eq!(guarded.metric("ringgate_bans", &["mode=\"enforce\""]), 1.0);

            let lift = format!("/shield?source={also}");
            let lifted = guarded.admin("DELETE", &lift);
            assert_eq!((lifted.status(), lifted.json()), (200, json!({ "lifted": 1 })));
            assert_eq!(guarded.admin("DELETE", &lift).status(), 404);
            guarded.wait_for_fate(source, Fate::Served);
            // It begins at the beginning: one more token is not enough.
            guarded.present(source, &guarded.forged_token(), 1);
        }
        guarded.gateway.wait_for_line(&["ban lifted: by an operator", "fd88::/64"]);
        assert_eq!(guarded.banned(), Vec::<String>::new());
    }
}

#[test]
fn without_an_interface_connections_are_closed_when_they_are_accepted() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "ban": ban("enforce", "1h") }));
    let mut idle = guarded.client(FIRST);
    assert_eq!(idle.get_as("/", &guarded.good_token()).status(), 200);
    guarded.present(FIRST, &guarded.forged_token(), ENOUGH);
    guarded.present(SECOND, &guarded.forged_token(), ENOUGH);
    guarded.present(OTHER_V6, &guarded.forged_token(), ENOUGH);
    let prefixes = ["10.88.0.2/32", "10.88.0.3/32", "fd88:0:0:1::/64"];
    guarded.wait_for_bans(&prefixes);
    idle.expect_end();
    for source in [FIRST, SECOND, OTHER_V6] {
        assert_eq!(guarded.fate(source), Fate::Closed, "{source}");
    }
    for source in [THIRD, FIRST_V6] {
        assert_eq!(guarded.fate(source), Fate::Served, "{source}");
    }
    let shield = guarded.shield();
    assert_eq!((&shield["xdp"]["on"], &shield["frames"]), (&json!(false), &json!(null)));
    assert_eq!(guarded.metric("ringgate_connections_barred_total", &["by=\"ban\""]), 3.0);

    let lifted = guarded.admin("DELETE", "/shield?source=10.88.0.3/32");
    assert_eq!(lifted.json(), json!({ "lifted": 1 }));
    guarded.wait_for_fate(SECOND, Fate::Served);
    assert_eq!(guarded.fate(FIRST), Fate::Closed);
    for target in ["/shield", "/shield?source=", "/shield?source=10.88.0.0/24"] {
        assert_eq!(guarded.admin("DELETE", target).status(), 400, "{target}");
    }
    assert_eq!(guarded.admin("DELETE", "/shield?source=all").json(), json!({ "lifted": 2 }));
    guarded.wait_for_fate(FIRST, Fate::Served);
    let foreign = "DELETE /shield?source=all HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let foreign = guarded.pair.server.run(|| guarded.gateway.admin_raw(foreign));
    assert_eq!(foreign.status(), 421, "not for web pages");
}

#[test]
fn workers_count_together_and_each_of_them_closes() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let shield = json!({ "ban": ban("enforce", "1h") });
    let guarded = Guarded::with(shield, |config| config.set("workers", 4));
    let mut open: Vec<_> = (0..32).map(|_| guarded.client(FIRST)).collect();
    for client in &mut open {
        assert_eq!(client.get_as("/", &guarded.good_token()).status(), 200);
    }
    for _ in 0..ENOUGH {
        guarded.present(FIRST, &guarded.forged_token(), 1);
    }
    guarded.wait_for_bans(&["10.88.0.2/32"]);
    for client in &mut open {
        client.expect_end();
    }
    for _ in 0..16 {
        assert_eq!(guarded.fate(FIRST), Fate::Closed);
    }
}

#[test]
fn a_ban_ends_by_itself_in_the_kernel_and_at_the_accept() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    for interfaces in [json!(["rg0"]), json!([])] {
        let guarded =
            Guarded::new(json!({ "interfaces": interfaces, "ban": ban("enforce", "1s") }));
        guarded.present(FIRST, &guarded.forged_token(), ENOUGH);
        guarded.gateway.wait_for_line(&["source banned", "10.88.0.2/32", "1s"]);
        guarded.wait_for_fate(FIRST, Fate::Served);
        guarded.gateway.wait_for_line(&["ban lifted: its time is over", "10.88.0.2/32"]);
        assert_eq!(guarded.metric("ringgate_bans", &[]), 0.0);
        assert_eq!(guarded.metric("ringgate_bans_begun_total", &["mode=\"enforce\""]), 1.0);
    }
}

#[test]
fn allowed_sources_trusted_proxies_and_loopback_are_never_banned() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let shield = json!({
        "interfaces": ["rg0"],
        "allow": [SECOND, "fd88::/64"],
        "ban": ban("enforce", "1h"),
    });
    let guarded = Guarded::with(shield, |config| {
        config.set("forwarding.trusted_proxies", json!(["10.88.0.4/30"]))
    });
    let forged = guarded.forged_token();
    for source in [SECOND, THIRD, FIRST_V6] {
        guarded.present(source, &forged, 2 * ENOUGH);
    }
    let local = guarded.gateway.listener("local");
    let mut local = guarded.pair.server.run(|| crate::harness::Client::connect(local));
    for _ in 0..2 * ENOUGH {
        assert_eq!(local.get_as("/", &forged).status(), 401);
    }
    // The one worker tells of offences in order.
    guarded.present(FIRST, &forged, ENOUGH);
    guarded.wait_for_bans(&["10.88.0.2/32"]);
    for source in [SECOND, THIRD, FIRST_V6] {
        assert_eq!(guarded.fate(source), Fate::Served, "{source}");
    }
    let reported = &["outcome=\"reported\""];
    assert_eq!(guarded.metric("ringgate_invalid_signatures_total", reported), ENOUGH as f64);

    // A ban ends where its source is exempt from now on.
    let shield = json!({ "interfaces": ["rg0"], "allow": [FIRST], "ban": ban("enforce", "1h") });
    guarded.reload(shield);
    guarded.gateway.wait_for_line(&["ban lifted: it is exempt now", "10.88.0.2/32"]);
    assert_eq!(guarded.banned(), Vec::<String>::new());
    guarded.wait_for_fate(FIRST, Fate::Served);
}

#[test]
fn only_signatures_that_no_key_has_made_count() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "ban": ban("enforce", "1h") }));
    let unknown = Key::ed25519("unknown");
    let good = guarded.good_token();
    let tokens = [
        guarded.sign(Token::new().claim("exp", 1)),
        guarded.sign(Token::new().claim("aud", "another")),
        guarded.sign(Token::new().claim("iss", "https://another.test/")),
        Token::new().sign(&unknown),
        "no.token.atall".to_owned(),
        format!("{good}="),
        "x".to_owned(),
    ];
    for token in &tokens {
        guarded.present(FIRST, token, ENOUGH);
    }
    guarded.present(SECOND, &guarded.forged_token(), ENOUGH);
    guarded.wait_for_bans(&["10.88.0.3/32"]);
    let reported = &["outcome=\"reported\""];
    assert_eq!(guarded.metric("ringgate_invalid_signatures_total", reported), ENOUGH as f64);
}

#[test]
fn a_reload_changes_how_bans_work_and_keeps_them() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "ban": ban("shadow", "1h") }));
    guarded.present(FIRST, &guarded.forged_token(), ENOUGH);
    guarded.wait_for_bans(&["10.88.0.2/32"]);
    assert_eq!(guarded.fate(FIRST), Fate::Served);

    guarded.reload(json!({ "ban": ban("enforce", "1h") }));
    guarded.wait_for_fate(FIRST, Fate::Closed);
    // An interface learns of the bans that there are.
    guarded.reload(json!({ "interfaces": ["rg0"], "ban": ban("enforce", "1h") }));
    assert_eq!(guarded.fate(FIRST), Fate::Dropped);
    guarded.reload(json!({ "interfaces": ["rg0"], "ban": ban("shadow", "1h") }));
    guarded.wait_for_fate(FIRST, Fate::Served);
    assert_eq!(guarded.shield()["bans"][0]["mode"], "shadow");

    guarded.reload(json!({ "interfaces": ["rg0"], "ban": { "mode": "off" } }));
    guarded.gateway.wait_for_line(&["ban lifted: bans are switched off", "10.88.0.2/32"]);
    let shield = guarded.shield();
    assert_eq!((&shield["ban_mode"], &shield["bans"]), (&json!("off"), &json!([])));
    guarded.present(FIRST, &guarded.forged_token(), 2 * ENOUGH);
    let all = guarded.metric("ringgate_invalid_signatures_total", &[]);
    assert_eq!(all, ENOUGH as f64, "nothing is reported any more");
}
