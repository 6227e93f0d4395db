//! [`TaskContext`]: the values that go along with a line of work.

/// The values of a task's context.
#[derive(Clone, Default)]
pub struct TaskContext(Option<std::rc::Rc<()>>);

impl TaskContext {
    /// The current one.
    pub fn current() -> Self {
        Self(None)
    }
}

pub(crate) fn replace(context: TaskContext) -> TaskContext {
    context
}
