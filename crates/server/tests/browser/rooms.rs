//! Rooms are made, joined, read and left.

use crate::House;

#[tokio::test]
async fn a_room_is_made_by_joining_it_and_is_left_again() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.join("release-4.2").await;
    let shown = maja.look().await;
    assert_eq!(shown.room_names(), ["lobby", "release-4.2"]);
    assert_eq!((shown.here, shown.rooms[1].is_active), (Some(1), true));

    let tomas = house.welcome_to("#/release-4.2", "Tomás").await;
    assert_eq!(tomas.look().await.room_names(), ["release-4.2"]);
    maja.until("two are here", |shown| shown.here == Some(2)).await;

    maja.click("room-leave").await;
    maja.until("the lobby is all there is", |shown| {
        shown.room_names() == ["lobby"] && shown.room == "lobby"
    })
    .await;
    tomas.until("one is here", |shown| shown.here == Some(1)).await;
    tomas.say("Just me, then").await;
    maja.say("And me here").await;
    assert_eq!(maja.look().await.conversation(), ["Maja: And me here"]);
}

#[tokio::test]
async fn what_is_said_in_other_rooms_is_counted_until_they_are_opened() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.join("design").await;
    let tomas = house.welcome("Tomás").await;
    for content in ["one", "two", "three"] {
        tomas.say(content).await;
    }
    let shown = maja
        .until("three are unread", |shown| shown.unread("lobby") == Some(3))
        .await;
    assert!(shown.title.starts_with("(3) design"), "{}", shown.title);
    assert_eq!(shown.messages.len(), 0);

    maja.open("lobby").await;
    let shown = maja.look().await;
    assert_eq!(shown.conversation(), ["Tomás: one", "Tomás: two", "Tomás: three"]);
    assert_eq!(shown.unread("lobby"), Some(0));
    assert!(shown.title.starts_with("lobby"), "{}", shown.title);
}

#[tokio::test]
async fn a_visit_goes_on_where_the_last_one_ended() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.join("design").await;
    maja.join("客厅").await;
    maja.open("design").await;
    maja.reload().await;
    let shown = maja.look().await;
    assert_eq!(shown.room_names(), ["lobby", "design", "客厅"]);
    assert_eq!((&*shown.room, &*shown.name), ("design", "Maja"));
}

#[tokio::test]
async fn a_name_that_no_room_can_have_is_refused_with_the_reason() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    for (name, reason) in [
        ("two words", "A room name has no spaces. Try a hyphen."),
        (
            "all*",
            "A room name has none of * # ? > and does not begin with $.",
        ),
    ] {
        let field = maja.find("room-input").await;
        field.clear().await.unwrap();
        field.send_keys(name).await.unwrap();
        maja.click("room-join").await;
        let shown = maja
            .until(&format!("{name} is refused"), |shown| {
                shown.error.as_deref() == Some(reason)
            })
            .await;
        assert_eq!(shown.room_names(), ["lobby"]);
    }
}
