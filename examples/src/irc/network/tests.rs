//! Lines in, lines out; and at random, that nothing is left and nothing grows.

use super::*;
use proptest::prelude::*;

/// A network, and what each user has heard since the last look.
struct Hall {
    network: Network,
    heard: IndexMap<UserId, Vec<String>>,
    closed: Vec<UserId>,
}

impl Hall {
    fn new(limits: Limits) -> Self {
        let network = Network::new("irc.test", limits);
        Self { network, heard: IndexMap::new(), closed: Vec::new() }
    }

    fn enter(&mut self, nick: &str) -> UserId {
        let id = self.network.connect("1.2.3.4");
        self.say(id, &format!("NICK {nick}"));
        self.say(id, &format!("USER {nick} 0 * :Somebody"));
        assert!(self.network.is_welcome(id));
        self.heard(id);
        id
    }

    fn say(&mut self, id: UserId, text: &str) {
        let output = self.network.receive(id, text);
        self.take(output);
    }

    fn take(&mut self, output: Output) {
        for (to, line) in output.lines {
            assert!(line.len() <= 512 && line.ends_with("\r\n"));
            self.heard.entry(to).or_default().push(line.trim_end().to_owned());
        }
        self.closed.extend(output.close);
    }

    fn heard(&mut self, id: UserId) -> Vec<String> {
        self.heard.swap_remove(&id).unwrap_or_default()
    }
}

#[test]
fn a_user_is_welcome_when_it_has_said_who_it_is() {
    let mut hall = Hall::new(Limits::default());
    let id = hall.network.connect("1.2.3.4");
    hall.say(id, "JOIN #a");
    assert_eq!(hall.heard(id), [":irc.test 451 * :You have not registered"]);
    hall.say(id, "CAP LS 302");
    hall.say(id, "NICK ann");
    hall.say(id, "USER ann 0 * :Ann");
    assert_eq!(hall.heard(id), [":irc.test CAP * LS :"]);
    hall.say(id, "CAP REQ :sasl");
    hall.say(id, "CAP END");
    let heard = hall.heard(id);
    assert_eq!(heard[0], ":irc.test CAP ann NAK sasl".replace("sasl", ":sasl"));
    assert_eq!(heard[1], ":irc.test 001 ann :Welcome, ann!ann@1.2.3.4");
    assert_eq!(heard.len(), 7);
    assert!(heard[5].contains("NICKLEN=30 CHANNELLEN=50"));
    hall.say(id, "USER ann 0 * :Ann");
    hall.say(id, "ping :a b");
    hall.say(id, "FROB");
    assert_eq!(
        hall.heard(id),
        [
            ":irc.test 462 ann :You may not reregister",
            ":irc.test PONG irc.test :a b",
            ":irc.test 421 ann FROB :Unknown command"
        ]
    );
}

#[test]
fn a_nick_belongs_to_one() {
    let mut hall = Hall::new(Limits::default());
    let (ann, bob) = (hall.enter("ann"), hall.enter("bob"));
    hall.say(ann, "JOIN #a");
    hall.say(bob, "JOIN #a,#b");
    hall.heard(ann);
    hall.heard(bob);
    hall.say(bob, "NICK ANN");
    hall.say(bob, "NICK 1");
    hall.say(bob, "NICK");
    hall.say(bob, "NICK Bob");
    hall.say(bob, "NICK Bob");
    assert_eq!(
        hall.heard(bob),
        [
            ":irc.test 433 bob ANN :Nickname is already in use",
            ":irc.test 432 bob 1 :Erroneous nickname",
            ":irc.test 431 bob :No nickname given",
            ":bob!bob@1.2.3.4 NICK :Bob"
        ]
    );
    assert_eq!(hall.heard(ann), [":bob!bob@1.2.3.4 NICK :Bob"]);
}

#[test]
fn what_is_said_in_a_channel_its_members_hear_and_who_comes_later_is_told() {
    let mut hall = Hall::new(Limits { history: 2, ..Limits::default() });
    let (ann, bob, eve) = (hall.enter("ann"), hall.enter("bob"), hall.enter("eve"));
    hall.say(ann, "JOIN #Tulips");
    assert_eq!(
        hall.heard(ann),
        [
            ":ann!ann@1.2.3.4 JOIN #Tulips",
            ":irc.test 353 ann = #Tulips :ann",
            ":irc.test 366 ann #Tulips :End of /NAMES list"
        ]
    );
    for text in ["one", "two", "three"] {
        hall.say(ann, &format!("PRIVMSG #tulips :{text}"));
    }
    hall.say(ann, "NOTICE #tulips :not kept");
    hall.say(ann, "TOPIC #tulips :red and yellow");
    hall.heard(ann);
    hall.say(bob, "JOIN #tulips");
    assert_eq!(
        hall.heard(bob),
        [
            ":bob!bob@1.2.3.4 JOIN #Tulips",
            ":irc.test 332 bob #Tulips :red and yellow",
            ":irc.test 353 bob = #Tulips :ann bob",
            ":irc.test 366 bob #Tulips :End of /NAMES list",
            ":irc.test NOTICE #Tulips :<ann> two",
            ":irc.test NOTICE #Tulips :<ann> three"
        ]
    );
    hall.say(bob, "PRIVMSG #tulips,EVE,nobody,#none :hello there");
    assert_eq!(
        hall.heard(ann),
        [":bob!bob@1.2.3.4 JOIN #Tulips", ":bob!bob@1.2.3.4 PRIVMSG #Tulips :hello there"]
    );
    assert_eq!(hall.heard(eve), [":bob!bob@1.2.3.4 PRIVMSG eve :hello there"]);
    assert_eq!(
        hall.heard(bob),
        [":irc.test 401 bob nobody :No such nick", ":irc.test 403 bob #none :No such channel"]
    );
    hall.say(eve, "PRIVMSG #tulips :let me in");
    hall.say(eve, "NOTICE #tulips :let me in");
    hall.say(eve, "NOTICE nobody :hello");
    hall.say(eve, "PRIVMSG");
    hall.say(eve, "PRIVMSG bob");
    assert_eq!(
        hall.heard(eve),
        [
            ":irc.test 404 eve #tulips :Cannot send to channel",
            ":irc.test 411 eve :No recipient given",
            ":irc.test 412 eve :No text to send"
        ]
    );
    hall.say(bob, "PART #tulips :bye");
    hall.say(bob, "PART #tulips");
    hall.say(ann, "TOPIC #tulips");
    assert_eq!(
        hall.heard(ann),
        [":bob!bob@1.2.3.4 PART #Tulips :bye", ":irc.test 332 ann #Tulips :red and yellow"]
    );
    assert_eq!(hall.heard(bob)[1], ":irc.test 442 bob #tulips :You're not on that channel");
}

#[test]
fn who_leaves_is_missed_once_by_each_and_told_why() {
    let mut hall = Hall::new(Limits::default());
    let (ann, bob) = (hall.enter("ann"), hall.enter("bob"));
    for user in [ann, bob] {
        hall.say(user, "JOIN #a,#b");
    }
    hall.heard(ann);
    hall.heard(bob);
    hall.say(bob, "QUIT :tired");
    assert_eq!(hall.heard(ann), [":bob!bob@1.2.3.4 QUIT :Quit: tired"]);
    assert_eq!(hall.heard(bob), ["ERROR :Closing link: 1.2.3.4 (Quit: tired)"]);
    assert_eq!(hall.closed, [bob]);
    hall.say(bob, "JOIN #c"); // it said more in the same breath
    let output = hall.network.leave(bob, "Connection reset");
    hall.take(output);
    assert_eq!((hall.heard(bob), hall.closed.len()), (vec![], 1));
    let output = hall.network.leave(ann, "Ping timeout: 120 seconds");
    hall.take(output);
    assert_eq!(hall.network.channels.len() + hall.network.nicks.len(), 0);
}

#[test]
fn everything_has_a_limit() {
    let limits = Limits { members: 2, channels: 2, topic: 3, ..Limits::default() };
    let mut hall = Hall::new(limits);
    let (ann, bob, eve) = (hall.enter("ann"), hall.enter("bob"), hall.enter("eve"));
    hall.say(ann, "JOIN #a,#b,#c");
    assert!(
        hall.heard(ann).contains(&":irc.test 405 ann #c :You have joined too many channels".into())
    );
    hall.say(bob, "JOIN #a");
    hall.say(eve, "JOIN #a,b,#");
    assert_eq!(
        hall.heard(eve),
        [
            ":irc.test 471 eve #a :Cannot join channel, it is full",
            ":irc.test 476 eve b :Bad channel name",
            ":irc.test 476 eve # :Bad channel name"
        ]
    );
    hall.say(ann, "TOPIC #a :ab\u{fc}c");
    assert_eq!(hall.heard(bob).last().unwrap(), ":ann!ann@1.2.3.4 TOPIC #a :ab");
    hall.say(ann, "JOIN 0");
    hall.say(eve, "JOIN #a");
    assert!(hall.heard(eve).contains(&":irc.test 353 eve = #a :bob eve".into()));
    let output = hall.network.receive_too_much(ann);
    hall.take(output);
    assert_eq!(hall.heard(ann).last().unwrap(), ":irc.test 417 ann :Input line was too long");
}

#[test]
fn the_names_of_many_take_several_lines() {
    let mut hall = Hall::new(Limits::default());
    let users: Vec<_> =
        (0..60).map(|number| hall.enter(&format!("somebody-with-a-name-{number}"))).collect();
    for user in &users {
        hall.say(*user, "JOIN #crowd");
    }
    let last = users[59];
    hall.heard(last);
    hall.say(last, "NAMES #crowd");
    let heard = hall.heard(last);
    let names = heard.iter().filter(|line| line.contains(" 353 "));
    let names: Vec<_> =
        names.flat_map(|line| line.split(" :").nth(1).unwrap().split(' ')).collect();
    assert_eq!((names.len(), heard.len() > 4), (60, true));
    hall.say(last, "WHO #crowd");
    assert_eq!(hall.heard(last).len(), 61);
    hall.say(last, "MODE #crowd");
    assert_eq!(hall.heard(last), [":irc.test 324 somebody-with-a-name-59 #crowd +n"]);
}

#[derive(Clone, Debug)]
enum Step {
    Enter,
    Say(usize, String),
    Leave(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let names =
        prop_oneof![Just("#a"), Just("#A"), Just("#b"), Just("#c,#d"), Just("n1"), Just("0")];
    let said = (
        prop_oneof![
            Just("JOIN"),
            Just("PART"),
            Just("PRIVMSG"),
            Just("NOTICE"),
            Just("NAMES"),
            Just("TOPIC"),
            Just("NICK"),
            Just("USER"),
            Just("QUIT"),
            Just("MODE"),
            Just("WHO"),
            Just("CAP"),
            Just("PING"),
        ],
        names,
        "[ :a-z]{0,12}",
    );
    prop_oneof![
        1 => Just(Step::Enter),
        8 => (any::<prop::sample::Index>(), said).prop_map(|(who, (command, name, rest))| {
            Step::Say(who.index(8), format!("{command} {name} {rest}"))
        }),
        1 => ("\\PC{0,150}", 0..8_usize).prop_map(|(text, who)| Step::Say(who, text)),
        1 => (0..8_usize).prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn whatever_is_said_channels_and_users_agree(steps in proptest::collection::vec(any_step(), 0..120)) {
        let limits = Limits { members: 3, channels: 3, history: 2, ..Limits::default() };
        let mut hall = Hall::new(limits);
        let mut users = Vec::new();
        for step in steps {
            match step {
                Step::Enter => users.push(hall.enter(&format!("guest{}", users.len()))),
                Step::Say(who, text) => {
                    if let Some(id) = users.get(who) {
                        hall.say(*id, &text);
                    }
                }
                Step::Leave(who) => {
                    if let Some(id) = users.get(who) {
                        let output = hall.network.leave(*id, "gone");
                        hall.take(output);
                    }
                }
            }
            let network = &hall.network;
            for (name, channel) in &network.channels {
                prop_assert!((1..=3).contains(&channel.members.len()));
                prop_assert!(channel.history().count() <= 2);
                for member in &channel.members {
                    prop_assert!(network.users[member].channels.contains(name));
                }
            }
            for (id, user) in &network.users {
                prop_assert!(user.channels.len() <= 3);
                for name in &user.channels {
                    prop_assert!(network.channels[name].members.contains(id));
                }
                if let Some(nick) = &user.nick {
                    prop_assert_eq!(network.nicks.get(&folded(nick)), Some(id));
                }
            }
            prop_assert!(network.nicks.len() <= network.users.len());
        }
        for id in users {
            hall.network.leave(id, "the end");
        }
        prop_assert_eq!(hall.network.channels.len() + hall.network.nicks.len(), 0);
    }
}
