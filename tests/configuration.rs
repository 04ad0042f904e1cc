//! The configuration as an operator meets it: texts in, a `Config` or faults in words out.
//!
//! Also holds docs/configuration.md to the code: its reference is the one the code renders, and
//! its example loads. `UPDATE_DOCS=1 cargo test --test configuration` writes the reference anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kinglet::base::network::Network;
use kinglet::config::{
    Agents, Auth, Compression, Config, Durability, Emitters, Faults, Flags, Heartbeat, Host,
    JoinEvents, Limits, Log, Metrics, Namespaces, Projects, PublishPolicy, ReplyNames, Secret,
    Server, SlowConsumer, SocketIo, Sources, Store, Tls, Warning, Webhooks, load, no_files,
    reference,
};
use kinglet::wire::socket_io::packet::RESERVED_EVENTS;

type Loaded = Result<(Config, Vec<Warning>), Faults>;

fn load_all(toml: &str, environment: &[(&str, &str)], flags: &Flags) -> Loaded {
    let environment: Vec<(String, String)> = environment
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    load(&Sources {
        file: Some(("kinglet.toml", toml)),
        environment: &environment,
        flags,
        files: no_files,
    })
}

fn config(toml: &str, environment: &[(&str, &str)]) -> Config {
    match load_all(toml, environment, &Flags::default()) {
        Ok((config, _)) => config,
        Err(faults) => panic!("{faults}"),
    }
}

fn listen(config: &Config) -> Vec<String> {
    let addresses = config.server.listen.iter();
    addresses.map(ToString::to_string).collect()
}

/// Checks that the faults of `toml` are exactly these lines.
fn check(toml: &str, faults: &[&str]) {
    check_with(toml, &[], faults);
}

fn check_with(toml: &str, environment: &[(&str, &str)], faults: &[&str]) {
    let found = match load_all(toml, environment, &Flags::default()) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string(),
    };
    assert_eq!(found, faults.join("\n"), "{toml} {environment:?}");
}

#[test]
fn nothing_written_gives_the_defaults() {
    assert_eq!(config("", &[]), Config::default());
    let empty = "[server]\n[limits]\n[rooms]\n[rooms.default]\n[log]\n";
    assert_eq!(config(empty, &[]), Config::default());
    let sources = Sources {
        file: None,
        environment: &[],
        flags: &Flags::default(),
        files: no_files,
    };
    assert_eq!(load(&sources), Ok((Config::default(), Vec::new())));
}

#[test]
fn every_key_reaches_its_own_field() {
    let text = r#"
        [server]
        listen = ["127.0.0.1:0", "[::1]:81", "localhost:82"]
        data_dir = "/var/lib/kinglet"
        tls = { self_signed = true }
        reactors = 2
        workers = 3
        allowed_origins = ["https://Example.org:443", "http://localhost:3000"]
        allowed_hosts = "Pi.local"
        trusted_proxies = "10.0.0.0/8"
        strict_rooms = true
        shutdown_timeout = "1m"
        [auth]
        mode = "open"
        [limits]
        connections = 1
        connections_per_ip = 20
        new_connections_per_minute = 0
        handshake_timeout = "2s"
        head_bytes = 3000
        headers = 4
        message_bytes = "5KiB"
        fragments = 6
        rooms = 7
        rooms_per_session = 8
        messages_per_second = 9
        message_burst = 10
        api_requests_per_second = 11
        user_requests_per_second = 39
        user_request_burst = 40
        outbox_messages = 12
        outbox_bytes = "13KiB"
        write_timeout = "14ms"
        recovery_max = 14
        idempotency_keys = 15
        durable_subscriptions = 19
        runs = 16
        memory_mb = 21
        threads = 22
        [heartbeat]
        ping_interval = "16s"
        pong_timeout = "17s"
        idle_timeout = "18s"
        [backplane]
        kind = "memory"
        [compression]
        enabled = false
        min_bytes = 17
        takeover = true
        [store]
        durability = "power"
        queue = 18
        [host]
        interval = "230ms"
        top_processes = 24
        command_lines = true
        [metrics]
        statsd = "localhost:25"
        publish_interval = "26s"
        require_auth = true
        [socketio]
        paths = "/27"
        namespaces = ["/28"]
        ping_interval = "29s"
        ping_timeout = "30s"
        connect_timeout = "31s"
        upgrade_timeout = "32s"
        attachment_timeout = "33s"
        max_payload = "34KiB"
        recovery = "35s"
        recovery_namespaces = "/28"
        recovery_sessions = 36
        join_events = ["in37/out37"]
        sessions = 38
        [webhooks]
        github_secret = "twenty-seven letters, 27 ab"
        [emitters]
        redis_url = "redis://:28@localhost:28/28"
        channels = ["twenty-nine"]
        [log]
        level = "trace"
        file = "/var/log/kinglet"
        [debug]
        echo = true
    "#;
    let seconds = Duration::from_secs;
    let found = config(text, &[]);
    let expected = Config {
        server: Server {
            listen: ["127.0.0.1:0", "[::1]:81", "127.0.0.1:82"]
                .map(|address| address.parse().unwrap())
                .to_vec(),
            data_dir: PathBuf::from("/var/lib/kinglet"),
            tls: Tls {
                self_signed: true,
                ..Tls::default()
            },
            reactors: Some(2),
            workers: 3,
            allowed_origins: vec!["https://example.org".into(), "http://localhost:3000".into()],
            allowed_hosts: vec!["pi.local".into()],
            trusted_proxies: vec![Network::parse("10.0.0.0/8").unwrap()],
            strict_rooms: true,
            shutdown_timeout: seconds(60),
        },
        auth: Auth::default(),
        limits: Limits {
            connections: Some(1),
            connections_per_ip: Some(20),
            new_connections_per_minute: None,
            handshake_timeout: seconds(2),
            head_bytes: 3000,
            headers: 4,
            message_bytes: 5 * 1024,
            fragments: Some(6),
            rooms: Some(7),
            rooms_per_session: Some(8),
            messages_per_second: Some(9),
            message_burst: 10,
            api_requests_per_second: Some(11),
            user_requests_per_second: Some(39),
            user_request_burst: 40,
            outbox_messages: 12,
            outbox_bytes: 13 * 1024,
            write_timeout: Duration::from_millis(14),
            recovery_max: Some(14),
            idempotency_keys: 15,
            durable_subscriptions: Some(19),
            runs: Some(16),
            memory_mb: Some(21),
            threads: Some(22),
        },
        heartbeat: Heartbeat {
            ping_interval: seconds(16),
            pong_timeout: seconds(17),
            idle_timeout: Some(seconds(18)),
        },
        compression: Compression {
            enabled: false,
            min_bytes: 17,
            takeover: true,
        },
        rooms: found.rooms.clone(),
        store: Store {
            durability: Durability::Power,
            queue: 18,
        },
        projects: Projects::default(),
        agents: Agents::default(),
        reply_names: ReplyNames::Echo,
        host: Host {
            interval: Duration::from_millis(230),
            top_processes: 24,
            command_lines: true,
        },
        metrics: Metrics {
            statsd: Some("127.0.0.1:25".parse().unwrap()),
            publish_interval: seconds(26),
            require_auth: true,
        },
        socketio: SocketIo {
            paths: vec!["/27".to_owned()],
            namespaces: Arc::from([Arc::from("/28")]),
            ping_interval: seconds(29),
            ping_timeout: seconds(30),
            connect_timeout: seconds(31),
            upgrade_timeout: seconds(32),
            attachment_timeout: seconds(33),
            max_payload: 34 * 1024,
            recovery: Some(seconds(35)),
            recovery_namespaces: vec!["/28".to_owned()],
            recovery_sessions: 36,
            join_events: vec![JoinEvents {
                join: "in37".to_owned(),
                leave: "out37".to_owned(),
            }],
            sessions: Some(38),
        },
        webhooks: Webhooks {
            github_secret: Some(Secret::new(*b"twenty-seven letters, 27 ab")),
            github_secret_file: None,
        },
        emitters: Emitters {
            redis_url: Some(Secret::new(*b"redis://:28@localhost:28/28")),
            channels: vec!["twenty-nine".to_owned()],
        },
        log: Log {
            level: log::LevelFilter::Trace,
            file: Some(PathBuf::from("/var/log/kinglet")),
        },
        debug_echo: true,
        insecure: false,
        insecure_runs: false,
    };
    assert_eq!(found, expected);
    assert_eq!(found.rooms.options("other"), None);
}

#[test]
fn no_event_that_socketio_reserves_joins_rooms() {
    for name in RESERVED_EVENTS {
        let problem = format!(
            "\"{name}/x\" would rename {name}, which has a meaning already; choose another name"
        );
        check(
            &format!("[socketio]\njoin_events = \"{name}/x\"\n"),
            &[&format!("socketio.join_events (kinglet.toml): {problem}")],
        );
    }
}

#[test]
fn zero_lifts_the_limits_that_can_be_lifted() {
    for key in [
        "connections",
        "fragments",
        "rooms",
        "rooms_per_session",
        "messages_per_second",
        "api_requests_per_second",
        "user_requests_per_second",
        "runs",
        "memory_mb",
        "threads",
    ] {
        let limits = config(&format!("[limits]\n{key} = 0"), &[]).limits;
        assert_ne!(limits, Limits::default(), "{key}");
    }
    for zero in ["0", "\"0\"", "\"0s\""] {
        let found = config(&format!("[heartbeat]\nidle_timeout = {zero}"), &[]);
        assert_eq!(found.heartbeat.idle_timeout, None);
    }
}

#[test]
fn variables_set_what_the_file_can() {
    let environment = [
        ("KINGLET_SERVER__WORKERS", "7"),
        ("KINGLET_SERVER__STRICT_ROOMS", "true"),
        ("KINGLET_SERVER__LISTEN", "[\"127.0.0.1:1\", \"[::1]:2\"]"),
        ("KINGLET_SERVER__ALLOWED_ORIGINS", "http://a"),
        ("KINGLET_SERVER__ALLOWED_HOSTS", ""),
        ("KINGLET_LIMITS__HEAD_BYTES", "2048"),
        ("KINGLET_LIMITS__MESSAGE_BYTES", "2KiB"),
        ("KINGLET_HEARTBEAT__IDLE_TIMEOUT", "0"),
        ("KINGLET_HEARTBEAT__PING_INTERVAL", "3s"),
        ("KINGLET_LOG__LEVEL", "debug"),
        ("KINGLET_ROOMS__CHAT__HISTORY_COUNT", "5"),
        ("KINGLET_ROOMS__A__B__PUBLISH", "server"),
        ("KINGLET_URL", "http://elsewhere"),
        ("KINGLET_RUN", "of-another-server"),
        ("KINGLET_TOKEN", "secret"),
        ("UNRELATED", "1"),
        ("kinglet_server__nothing", "1"),
    ];
    let found = config(
        "[server]\nallowed_hosts = [\"a\"]\nworkers = 3",
        &environment,
    );
    assert_eq!(found.server.workers, 7);
    assert_eq!(listen(&found), ["127.0.0.1:1", "[::1]:2"]);
    assert_eq!(found.server.allowed_origins, ["http://a"]);
    assert!(found.server.allowed_hosts.is_empty());
    assert_eq!(found.limits.head_bytes, 2048);
    assert_eq!(found.limits.message_bytes, 2048);
    assert_eq!(found.heartbeat.idle_timeout, None);
    assert_eq!(found.heartbeat.ping_interval, Duration::from_secs(3));
    assert_eq!(found.log.level, log::LevelFilter::Debug);
    assert_eq!(found.rooms.options("chat").unwrap().history_count, 5);
    let spaced = found.rooms.options("a__b").unwrap();
    assert_eq!(spaced.publish, PublishPolicy::Server);
    assert_eq!(found.rooms.options("other"), None);

    let single = config("", &[("KINGLET_SERVER__LISTEN", "[::1]:8080")]);
    assert_eq!(listen(&single), ["[::1]:8080"]);
}

#[test]
fn the_stronger_source_wins() {
    let flag = Flags {
        listen: vec!["127.0.0.1:5".to_owned(), "[::1]:5".to_owned()],
        log_level: Some("error".to_owned()),
        insecure: false,
        insecure_runs: false,
        ..Flags::default()
    };
    let none = Flags::default();
    let file = "server.listen = \"127.0.0.1:3\"\nlog.level = \"warn\"";
    let own = [
        ("KINGLET_SERVER__LISTEN", "127.0.0.1:4"),
        ("KINGLET_LOG__LEVEL", "debug"),
    ];
    let bare = [("PORT", "2"), ("LOG_LEVEL", "TRACE")];
    let both = [own, bare].concat();
    for (toml, environment, flags, address, level) in [
        ("", &[][..], &none, "127.0.0.1:8080", "INFO"),
        ("", &bare[..], &none, "127.0.0.1:2", "TRACE"),
        (file, &bare[..], &none, "127.0.0.1:3", "WARN"),
        (file, &both[..], &none, "127.0.0.1:4", "DEBUG"),
        (file, &both[..], &flag, "127.0.0.1:5", "ERROR"),
    ] {
        let (found, _) = load_all(toml, environment, flags).unwrap();
        assert_eq!(listen(&found)[0], address);
        assert_eq!(found.log.level.as_str(), level);
    }
}

#[test]
fn bare_variables_are_fallbacks() {
    for (environment, address) in [
        (&[("PORT", "81")][..], "127.0.0.1:81"),
        (&[("HOST", "localhost")], "127.0.0.1:8080"),
        (&[("HOST", "127.0.0.2"), ("PORT", "0")], "127.0.0.2:0"),
        (&[("HOST", "::1"), ("PORT", "81")], "[::1]:81"),
        (&[("HOST", "[::1]")], "[::1]:8080"),
        (&[("HOST", ""), ("PORT", "")], "127.0.0.1:8080"),
        (&[("HOST", "my-machine"), ("PORT", "81")], "127.0.0.1:81"),
    ] {
        assert_eq!(listen(&config("", environment)), [address]);
    }
    for (text, origins) in [
        ("http://a, http://b:1,", &["http://a", "http://b:1"][..]),
        ("[\"http://a\", \"http://b\"]", &["http://a", "http://b"]),
        ("", &[]),
    ] {
        let found = config("", &[("CORS_ORIGINS", text)]);
        assert_eq!(found.server.allowed_origins, origins);
    }
    let level = config("", &[("LOG_LEVEL", "WARNING")]).log.level;
    assert_eq!(level, log::LevelFilter::Warn);

    for port in ["http", "65536", "-1", "80 "] {
        let fault =
            format!("server.listen (PORT): {port:?} is not a port; write a number from 0 to 65535");
        check_with("", &[("PORT", port)], &[&fault]);
        check_with("server.listen = \"127.0.0.1:1\"", &[("PORT", port)], &[]);
    }
}

#[test]
fn the_bare_interval_is_whole_milliseconds_within_bounds() {
    let interval = |toml, text| config(toml, &[("WS_METRICS_INTERVAL", text)]).host.interval;
    for (text, millis) in [("100", 100), ("5000", 5000), ("3600000", 3_600_000)] {
        assert_eq!(interval("", text), Duration::from_millis(millis));
    }
    let written = "host.interval = \"2s\"";
    assert_eq!(interval(written, "1000"), Duration::from_secs(2));
    for text in ["99", "3600001", "fast", "5s", "-1", "NaN", "1e3"] {
        let fault = format!(
            "host.interval (WS_METRICS_INTERVAL): {text:?} is no interval; write whole \
             milliseconds from 100 to 3600000"
        );
        check_with("", &[("WS_METRICS_INTERVAL", text)], &[&fault]);
        check_with(written, &[("WS_METRICS_INTERVAL", text)], &[]);
    }
    let fault = "host.interval (kinglet.toml): \"2h\" is not from 100ms to 1h";
    check_with("host.interval = \"2h\"", &[], &[fault]);
}

#[test]
fn a_bare_variable_that_is_not_used_is_warned_of() {
    let environment = [
        ("JWT_SECRET_KEY", "do not print me"),
        ("JWT_ALGORITHM", "HS256"),
        ("REDIS_URL", "redis://localhost"),
        ("HOST", "my machine"),
    ];
    let (found, warnings) = load_all("", &environment, &Flags::default()).unwrap();
    assert_eq!(found, Config::default());
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let not_yet = "not in this version yet; the variable is not used (what back ends emit to a \
                   Redis is heard with emitters.redis_url)";
    let in_token_mode =
        "not used; it is with auth.mode = \"token\", a JWT_SECRET_KEY and no auth.keys";
    assert_eq!(
        lines,
        [
            format!("REDIS_URL: {not_yet}"),
            "HOST: \"my machine\" is not an address to listen on; it is not used".to_owned(),
            format!("JWT_SECRET_KEY: {in_token_mode}"),
            format!("JWT_ALGORITHM: {in_token_mode}"),
        ]
    );
}

#[test]
fn the_open_mode_listens_on_loopback_unless_insecure() {
    let fault = |address: &str, origin: &str| {
        format!(
            "server.listen ({origin}): {address} can be reached from other machines; that needs \
             auth (auth.mode is \"open\") or the flag --insecure"
        )
    };
    check(
        "server.listen = [\"0.0.0.0:1\", \"127.9.9.9:1\", \"[::1]:1\", \"[::]:1\"]",
        &[
            &fault("0.0.0.0:1", "kinglet.toml"),
            &fault("[::]:1", "kinglet.toml"),
        ],
    );
    let bare = [("HOST", "0.0.0.0"), ("PORT", "1")];
    check_with("", &bare, &[&fault("0.0.0.0:1", "HOST and PORT")]);
    check("server.listen = \"[::ffff:127.0.0.1]:1\"", &[]);

    let mut flags = Flags {
        listen: vec!["192.168.0.1:1".to_owned()],
        ..Flags::default()
    };
    let faults = load_all("", &[], &flags).unwrap_err();
    assert_eq!(faults.to_string(), fault("192.168.0.1:1", "--listen"));
    flags.insecure = true;
    let (found, _) = load_all("", &[], &flags).unwrap();
    assert!(found.insecure);
    assert_eq!(listen(&found), ["192.168.0.1:1"]);
}

#[test]
fn a_namespace_takes_from_default_what_it_does_not_set() {
    let text = r#"
        [rooms.default]
        history_count = 7
        durable = true
        publish = "members"
        [rooms.chat]
        history_bytes = "2KiB"
        [rooms.metrics]
        history_age = "1m"
        [rooms."v1.2-x_Y"]
        history_count = 0
        durable = false
        slow_consumer = "drop_oldest"
    "#;
    let rooms = config(text, &[]).rooms;
    for (namespace, count, bytes, publish) in [
        ("", 7, 1024 * 1024, PublishPolicy::Members),
        ("other", 7, 1024 * 1024, PublishPolicy::Members),
        ("project", 7, 1024 * 1024, PublishPolicy::Members),
        ("chat", 7, 2048, PublishPolicy::Members),
        ("metrics", 1, 1024 * 1024, PublishPolicy::Server),
        ("v1.2-x_Y", 0, 1024 * 1024, PublishPolicy::Members),
    ] {
        let options = rooms.options(namespace).unwrap();
        assert_eq!(options.history_count, count, "{namespace}");
        assert_eq!(options.history_bytes, bytes, "{namespace}");
        assert_eq!(options.publish, publish, "{namespace}");
        let slow_consumer = match namespace {
            "metrics" => SlowConsumer::Latest,
            "v1.2-x_Y" => SlowConsumer::DropOldest,
            _ => SlowConsumer::Close,
        };
        assert_eq!(options.slow_consumer, slow_consumer, "{namespace}");
    }
    let metrics = rooms.options_of_room("metrics").unwrap();
    assert_eq!(metrics.history_age, Duration::from_secs(60));
    assert!(!metrics.durable, "a sample is not worth the disk");
}

#[test]
fn an_interval_is_kept_by_the_namespaces_that_choose_latest() {
    let text = r#"
        [rooms.default]
        min_interval = "1s"
        [rooms.a]
        slow_consumer = "latest"
        history_count = 0
        [rooms.metrics]
        min_interval = "250ms"
        [rooms.b]
        min_interval = 0
    "#;
    let rooms = config(text, &[]).rooms;
    for (namespace, millis) in [("a", 1000), ("metrics", 250), ("b", 0)] {
        let options = rooms.options(namespace).unwrap();
        assert_eq!(
            options.min_interval,
            Duration::from_millis(millis),
            "{namespace}"
        );
    }
}

#[test]
fn an_empty_table_makes_a_namespace_known() {
    let rooms = config(
        "server.strict_rooms = true\n[rooms.chat]\n[rooms.default]",
        &[],
    )
    .rooms;
    let names: Vec<&str> = rooms.names().collect();
    let built_in = [
        "agent", "board", "chat", "global", "metrics", "project", "system", "user",
    ];
    assert_eq!(names, built_in);
    assert!(rooms.options_of_room("chat:1").is_some());
    assert!(rooms.options_of_room("default:1").is_none());
    assert!(Namespaces::default().options("anything").is_some());
}

#[test]
fn the_documentation_is_what_the_code_says() {
    const BEGIN: &str = "<!-- reference: begin -->\n";
    const END: &str = "<!-- reference: end -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{}{END}{after}", reference());
        std::fs::write(path, text).unwrap();
        return;
    }
    assert!(
        written == reference(),
        "the reference in docs/configuration.md is out of date; to write it anew:\n\
         UPDATE_DOCS=1 cargo test --test configuration"
    );
    let (_, example) = before.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(
        listen(&config(example, &[])),
        ["127.0.0.1:8080", "[::1]:8080"]
    );
}
