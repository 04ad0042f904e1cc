//! The table of paths: who may call what, where it runs, what it does.
//!
//! May not touch: how a request finds its row, which is `routes.rs`'s.

use crate::app::api::{
    connections, descriptions, errors, events, health, history, host, metrics, presence, projects,
    publish, rooms, runs, server, stats, tokens, users, webhooks,
};
use crate::app::dashboard;
use crate::app::http::routes::Run::{Answer, Order};
use crate::app::http::routes::{Access, Api, Kind, Route, Run};
use crate::app::opening::Endpoint;
use crate::dialect::native::decode::Place;
use crate::wire::http::head::Method;

const fn get(path: &'static str, kind: Kind) -> Route {
    row(Method::Get, path, kind)
}

const fn post(path: &'static str, kind: Kind) -> Route {
    row(Method::Post, path, kind)
}

const fn delete(path: &'static str, kind: Kind) -> Route {
    row(Method::Delete, path, kind)
}

const fn row(method: Method, path: &'static str, kind: Kind) -> Route {
    Route { method, path, kind }
}

const fn inline(access: Access, run: Run) -> Kind {
    Kind::Api(Api {
        access,
        place: Place::Shard,
        is_metered: true,
        is_essential: false,
        run,
    })
}

const fn worker(access: Access, run: Run) -> Kind {
    Kind::Api(Api {
        access,
        place: Place::Worker,
        is_metered: true,
        is_essential: false,
        run,
    })
}

/// For those who look after the server, also when it is full.
const fn essential(access: Access, run: Run) -> Kind {
    Kind::Api(Api {
        access,
        place: Place::Worker,
        is_metered: true,
        is_essential: true,
        run,
    })
}

const fn health(run: Run) -> Kind {
    Kind::Api(Api {
        access: Access::Public,
        place: Place::Shard,
        is_metered: false,
        is_essential: true,
        run,
    })
}

/// What browsers load, which is the same for everybody.
const fn page(run: Run) -> Kind {
    Kind::Api(Api {
        access: Access::Public,
        place: Place::Shard,
        is_metered: false,
        is_essential: false,
        run,
    })
}

/// Every route. Publishing to memory rooms cannot block and stays in the shard; what looks at
/// many rooms or sessions, or encodes long answers, goes to a worker.
pub static ROUTES: &[Route] = &[
    get("/ws", Kind::Upgrade(Endpoint::Native)),
    get("/ws/echo", Kind::Upgrade(Endpoint::Echo)),
    get("/ws/metrics", Kind::Upgrade(Endpoint::Device)),
    post(
        "/api/v1/publish",
        inline(Access::Rooms, Order(publish::publish)),
    ),
    post(
        "/api/v1/batch",
        worker(Access::Rooms, Order(publish::batch)),
    ),
    post(
        "/api/v1/events",
        inline(Access::Rooms, Order(events::publish)),
    ),
    post(
        "/api/v1/webhooks/github",
        worker(Access::Public, Order(webhooks::github)),
    ),
    get(
        "/api/v1/webhooks/github/health",
        inline(Access::Public, Answer(webhooks::github_health)),
    ),
    get("/api/v1/rooms", worker(Access::Rooms, Answer(rooms::list))),
    get(
        "/api/v1/rooms/{room}",
        inline(Access::Rooms, Answer(rooms::one)),
    ),
    get(
        "/api/v1/rooms/{room}/history",
        worker(Access::Rooms, Answer(history::read)),
    ),
    delete(
        "/api/v1/rooms/{room}/history",
        inline(Access::Admin, Order(history::clear)),
    ),
    get("/api/v1/rooms/{room}/events", Kind::Events),
    get("/api/v1/events", Kind::Events),
    get(
        "/api/v1/rooms/{room}/presence",
        worker(Access::Rooms, Answer(presence::read)),
    ),
    get(
        "/api/v1/projects",
        worker(Access::Rooms, Order(projects::list)),
    ),
    post(
        "/api/v1/projects",
        worker(Access::Rooms, Order(projects::create)),
    ),
    get(
        "/api/v1/projects/{id}",
        worker(Access::Rooms, Order(projects::one)),
    ),
    delete(
        "/api/v1/projects/{id}",
        worker(Access::Rooms, Order(projects::delete)),
    ),
    get(
        "/api/v1/projects/{id}/runs",
        worker(Access::Rooms, Order(runs::list)),
    ),
    post(
        "/api/v1/projects/{id}/runs",
        worker(Access::Rooms, Order(runs::start)),
    ),
    get("/api/v1/runs/{id}", worker(Access::Rooms, Order(runs::one))),
    delete(
        "/api/v1/runs/{id}",
        worker(Access::Rooms, Order(runs::cancel)),
    ),
    post(
        "/api/v1/runs/{id}/input",
        worker(Access::Rooms, Order(runs::input)),
    ),
    post(
        "/api/v1/runs/{id}/permissions/{request}",
        worker(Access::Rooms, Order(runs::decide)),
    ),
    get(
        "/api/v1/errors",
        essential(Access::Administration, Answer(errors::list)),
    ),
    get(
        "/api/v1/connections",
        essential(Access::Administration, Answer(connections::list)),
    ),
    delete(
        "/api/v1/connections/{id}",
        essential(Access::Administration, Answer(connections::disconnect)),
    ),
    post(
        "/api/v1/users/{user}/disconnect",
        essential(Access::Administration, Answer(users::disconnect)),
    ),
    post(
        "/api/v1/users/{user}/subscribe",
        essential(Access::Administration, Answer(users::subscribe)),
    ),
    post(
        "/api/v1/users/{user}/unsubscribe",
        essential(Access::Administration, Answer(users::unsubscribe)),
    ),
    post(
        "/api/v1/tokens/check",
        inline(Access::Public, Answer(tokens::check)),
    ),
    get("/api/v1/metrics", worker(Access::Rooms, Answer(host::read))),
    get(
        "/api/v1/ws/stats",
        worker(Access::Admin, Answer(stats::sessions)),
    ),
    get(
        "/api/v1/websocket/stats",
        essential(Access::Admin, Answer(stats::rooms)),
    ),
    get(
        "/api/v1/server",
        essential(Access::Admin, Answer(server::tree)),
    ),
    get(
        "/metrics",
        Kind::Api(Api {
            access: Access::Metrics,
            place: Place::Worker,
            is_metered: false,
            is_essential: true,
            run: Answer(metrics::page),
        }),
    ),
    get(
        "/api/docs",
        inline(Access::Public, Answer(descriptions::docs)),
    ),
    get(
        "/openapi.json",
        inline(Access::Public, Answer(descriptions::http)),
    ),
    get(
        "/asyncapi.json",
        inline(Access::Public, Answer(descriptions::sockets)),
    ),
    get("/health", health(Answer(health::health))),
    get("/health/live", health(Answer(health::live))),
    get("/health/ready", health(Answer(health::ready))),
    get("/", page(Answer(dashboard::root))),
    get("/dashboard/{file}", page(Answer(dashboard::file))),
];
