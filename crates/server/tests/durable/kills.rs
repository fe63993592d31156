//! The process ends at any moment, in every way. FAULTS 62, 63, 70.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use crate::house::{House, end};
use crate::load::{Load, Sum};

/// Ends the server so many times under load, and starts it again.
fn under_load(
    house: &mut House,
    times: usize,
    mut end_once: impl FnMut(&mut House, crate::process::Server),
) -> Sum {
    let server = house.start();
    let load = Load::start(&server);
    let mut running = Some(server);
    for _ in 0..times {
        if let Some(server) = running.take() {
            end_once(house, server);
        }
        running = Some(house.start());
    }
    load.end(&running.unwrap())
}

/// Kills it after a time by chance, and once more in the middle of the next start, at times.
fn kill(house: &mut House, server: crate::process::Server, random: &mut Rng) {
    pause(random, 20..300);
    end(server, Signal::KILL);
    if random.u8(..3) == 0 {
        let mut starting = house
            .command()
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        pause(random, 0..150);
        starting.kill().unwrap();
        starting.wait().unwrap();
    }
}

fn pause(random: &mut Rng, ms: Range<u64>) {
    thread::sleep(Duration::from_millis(random.u64(ms)));
}

fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}

/// `KILLS=number` for as many.
#[test]
fn whatever_was_answered_is_there_once_after_every_kill() {
    let kills = std::env::var("KILLS").map_or(15, |kills| kills.parse().unwrap());
    let (mut house, mut random) = (House::new("kills", &[]), Rng::with_seed(seed()));
    let began = Instant::now();
    let sum = under_load(&mut house, kills, |house, server| {
        kill(house, server, &mut random);
    });
    println!("{kills} kills in {:?}: {sum:?}", began.elapsed());
    assert!(sum.acknowledged >= 10 * kills, "{sum:?}");
}

#[test]
fn the_end_of_the_process_alone_loses_nothing_in_the_weaker_modes() {
    for mode in ["interval:1h", "never"] {
        let mut house = House::new(&mode[..5], &["--fsync", mode]);
        let mut random = Rng::with_seed(seed());
        let sum = under_load(&mut house, 4, |house, server| kill(house, server, &mut random));
        assert!(sum.acknowledged >= 100, "{mode}: {sum:?}");
    }
}

#[test]
fn a_restart_under_load_in_good_order_loses_nothing_and_leaves_nothing_to_repair() {
    let mut house = House::new("restarts", &[]);
    let mut random = Rng::with_seed(seed());
    let sum = under_load(&mut house, 4, |_, server| {
        pause(&mut random, 100..400);
        end(server, Signal::TERM);
    });
    assert!(sum.acknowledged >= 100, "{sum:?}");
    assert_eq!(house.log(), "", "nothing was cut off");
}
