//! The store beside a list of everything.

#![allow(clippy::unwrap_used)]

use crate::base::rng::Rng;
use crate::domain::command::{Payload, Publish};
use crate::domain::room::RoomName;
use crate::store::commit::Work;
use crate::store::tests::{KEEP, KEYS, Place, at, entry, room, said, wanted};

#[test]
fn agrees_with_a_list_of_everything_through_failures_and_restarts() {
    for seed in 0..24 {
        let mut rng = Rng::from_seed(seed);
        let place = Place::new();
        let mut store = Some(place.open("e").store);
        let rooms = [room("a"), room("b"), room("c")];
        let mut model: Vec<Vec<String>> = vec![Vec::new(); 3];
        for step in 0..60 {
            let open = store.get_or_insert_with(|| place.open("x").store);
            let count = 1 + rng.below(5);
            let batch: Vec<Publish> = (0..count)
                .map(|number| {
                    let picked = 1 + rng.below(7);
                    let named = rooms.iter().enumerate();
                    let named = named.filter(|(index, _)| picked >> index & 1 == 1);
                    let named: Vec<&RoomName> = named.map(|(_, room)| room).collect();
                    said(&format!("\"{step}.{number}\""), &named)
                })
                .collect();
            let work: Vec<Work<'_>> = batch
                .iter()
                .map(|publish| Work::Publish(entry(publish, KEEP, at(0))))
                .collect();
            open.commit(&work, KEYS, at(0)).unwrap();
            for publish in &batch {
                for (room, said) in rooms.iter().zip(&mut model) {
                    if let (true, Payload::Json(text)) =
                        (publish.rooms.contains(room), &publish.payload)
                    {
                        said.push(text.to_string());
                    }
                }
            }
            if rng.below(10) == 0 {
                store = None;
                continue;
            }
            for (room, said) in rooms.iter().zip(&model) {
                let wanted = wanted(room, said.len() as u64, KEEP);
                let page = open.readers().after(&wanted, 0, 999, at(0)).unwrap();
                let texts: Vec<String> = page
                    .items
                    .iter()
                    .map(|(_, publication)| match &publication.payload {
                        Payload::Json(text) => text.to_string(),
                        Payload::Bytes(_) => String::new(),
                    })
                    .collect();
                assert_eq!(texts, *said, "seed {seed}");
            }
        }
    }
}
