//! The events of the shop, which its services and their tests share.

mod order_created;
mod payment_settled;

pub use self::{
    order_created::{InvalidOrder, Item, OrderCreated},
    payment_settled::PaymentSettled,
};
