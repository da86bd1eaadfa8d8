//! Four systems that tell of the same people and orders, each in a format of its own.

use super::World;
use crate::support::archive::{gzip, zip};

const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: loyalty }
spec:
  system: loyalty
  connector: { folder: { path: data/loyalty } }
  streams:
    - name: members
      files: { path: 'members_{yyyyMMdd}.csv' }
      format: { csv: { encoding: cp932 } }
      contract:
        quarantineLimit: { percent: 100 }
        columns:
          - { name: 会員番号, required: true }
          - { name: 生年月日, type: date, format: '%Y/%m/%d' }
      entities:
        - entity: customer
          key: [会員番号]
          fields:
            loyalty_number: { from: 会員番号 }
            name: { from: 氏名 }
            phone: { from: 電話 }
            email: { from: メール }
            birth_date: { from: 生年月日, format: '%Y/%m/%d' }
        - entity: consent
          key: [会員番号]
          customer: { key: [会員番号] }
          fields:
            purpose: { const: email_marketing }
            granted: { from: 同意 }
            given_at: { const: '2026-11-01T00:00:00+09:00' }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data/shop } }
  streams:
    - name: orders
      files: { path: 'orders_{yyyyMMdd}.jsonl.gz' }
      format: { json: {} }
      contract: { quarantineLimit: { percent: 100 } }
      entities:
        - entity: customer
          key: [user.id]
          fields:
            name: { from: user.name }
            email: { from: user.email }
            phone: { from: user.phone }
        - entity: order
          key: [id]
          customer: { key: [user.id] }
          fields:
            order_number: { from: id }
            channel: { const: web }
            kind: { const: sale }
            ordered_at: { from: at }
            total: { from: total }
        - entity: order_line
          each: lines
          key: [$.id, '#']
          fields:
            order_number: { from: $.id }
            line_number: { from: '#' }
            product_code: { from: sku }
            quantity: { from: n }
            amount: { compute: 'n * price' }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: oms }
spec:
  system: oms
  connector: { folder: { path: data/oms } }
  streams:
    - name: orders
      files: { path: 'oms_{yyyyMMdd}.txt' }
      format:
        records:
          types:
            - { name: head, tag: H, role: header, columns: [made] }
            - { name: order, tag: D, role: detail, columns: [number, state, amount] }
            - { name: end, tag: T, role: trailer, columns: [count], count: count }
      contract: { quarantineLimit: { percent: 100 } }
      entities:
        - entity: order
          record: order
          key: [number]
          fields:
            order_number: { from: number }
            status: { from: state }
            total: { from: amount }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: erp }
spec:
  system: erp
  connector: { folder: { path: data/erp } }
  streams:
    - name: products
      files: { path: 'products.zip' }
      format: { csv: {} }
      entities:
        - entity: product
          key: [code]
          fields:
            product_code: { from: code }
            name: { from: name }
            category: { from: category }
---
apiVersion: musubi.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: people }
spec:
  sourcePriority: [loyalty, shop, oms, erp]
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [loyalty, shop, oms, erp]
  identityPolicy: people
  lake: { folder: lake }
";

fn order(id: &str, user: (&str, &str, &str, &str), total: u32) -> String {
    let (user, name, email, phone) = user;
    format!(
        r#"{{"id":"{id}","at":"2026-11-01T12:00:00+09:00","user":{{"id":"{user}","name":"{name}","email":"{email}","phone":"{phone}"}},"total":{total},"lines":[{{"sku":"B-1","n":2,"price":{}}}]}}"#,
        total / 2
    )
}

/// The world with the files of its first day.
pub(crate) fn world() -> World {
    let world = World::new(RESOURCES);
    let members = "会員番号,氏名,電話,メール,生年月日,同意\r\n\
        1001,山田 太郎,090-1234-5678,taro@example.com,1980/04/01,1\r\n\
        1002,鈴木 花子,080-1111-2222,hanako@example.com,1990/02/03,0\r\n\
        1003,佐藤 次郎,070-3333-4444,jiro@example.com,not a date,1\r\n";
    let members = encoding_rs::SHIFT_JIS.encode(members).0.into_owned();
    world.write("data/loyalty/members_20261101.csv", &members);
    let orders = [
        order(
            "W1",
            ("u1", "山田太郎", "taro@example.com", "090-1234-5678"),
            1200,
        ),
        order(
            "W2",
            ("u2", "高橋一郎", "ichiro@example.com", "070-5555-6666"),
            800,
        ),
        order(
            "W3",
            ("u3", "鈴木はなこ", "hana@example.net", "070-7777-8888"),
            600,
        ),
        "{ not json".to_owned(),
    ];
    let orders = gzip(orders.join("\n"));
    world.write("data/shop/orders_20261101.jsonl.gz", &orders);
    world.write(
        "data/oms/oms_20261101.txt",
        b"H,20261101\nD,W1,shipped,1150\nD,W9,open,90\nT,2\n",
    );
    let products = zip(&[(
        "products.csv",
        "code,name,category\nB-1,Salmon bento,bento\n",
    )]);
    world.write("data/erp/products.zip", &products);
    world
}

/// The files of a second day: one customer turns out to be another, and one order is told again.
pub(crate) fn second_day(world: &World) {
    let orders = [
        order(
            "W4",
            ("u3", "鈴木花子", "hanako@example.com", "080-1111-2222"),
            500,
        ),
        order(
            "W1",
            ("u1", "山田太郎", "taro@example.com", "090-1234-5678"),
            1250,
        ),
    ];
    let orders = gzip(orders.join("\n"));
    world.write("data/shop/orders_20261102.jsonl.gz", &orders);
}
