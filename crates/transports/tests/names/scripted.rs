//! A resolver whose answers a test gives by hand.

use eventloop::AbstractEventLoop;
use futures::{Future, SchedulerExt};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tulipa_transports::{AddressInfo, AddressQuery, NameQuery, Resolver};

/// Keeps every question until it is answered.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    asked: Rc<RefCell<Vec<Question>>>,
}

#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) query: AddressQuery,
    pub(crate) answer: Future<Vec<AddressInfo>>,
}

impl Resolver for Scripted {
    fn look_up_addresses(
        &self,
        event_loop: &dyn AbstractEventLoop,
        query: &AddressQuery,
    ) -> Future<Vec<AddressInfo>> {
        let answer = event_loop.create_future();
        let question = Question { query: query.clone(), answer: answer.clone() };
        self.asked.borrow_mut().push(question);
        answer
    }

    fn look_up_name(
        &self,
        event_loop: &dyn AbstractEventLoop,
        query: &NameQuery,
    ) -> Future<(String, String)> {
        let answer = event_loop.create_future();
        answer.set_result((format!("host-of-{}", query.address), "service".into())).unwrap();
        answer
    }

    fn why_late(&self, _: &AddressQuery) -> Option<String> {
        Some("nobody wrote its part".to_owned())
    }
}

impl Scripted {
    /// The oldest question that was not taken yet.
    #[track_caller]
    pub(crate) fn next(&self) -> Question {
        let mut asked = self.asked.borrow_mut();
        assert!(!asked.is_empty(), "nothing was asked");
        asked.remove(0)
    }

    /// How many questions were not taken yet.
    pub(crate) fn count(&self) -> usize {
        self.asked.borrow().len()
    }
}

impl Question {
    pub(crate) fn give(&self, addresses: &[&str]) {
        let answers = addresses.iter().map(|text| {
            let address = SocketAddr::new(text.parse().unwrap(), 0);
            AddressInfo::from(address)
        });
        self.answer.set_result(answers.collect()).unwrap();
    }

    pub(crate) fn fail(&self, kind: io::ErrorKind, text: &str) {
        self.answer.set_exception(io::Error::new(kind, text)).unwrap();
    }
}

/// Answers every question with the same addresses, at once.
pub(crate) struct Always(pub(crate) Vec<SocketAddr>);

impl Resolver for Always {
    fn look_up_addresses(
        &self,
        event_loop: &dyn AbstractEventLoop,
        _: &AddressQuery,
    ) -> Future<Vec<AddressInfo>> {
        let answer = event_loop.create_future();
        answer.set_result(self.0.iter().copied().map(AddressInfo::from).collect()).unwrap();
        answer
    }
}
