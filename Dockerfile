# One image for the operator and its workers: nothing but the two programs, as a user that is not root.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package musubi --package musubi-operator --features musubi/traces

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/musubi /src/target/release/musubi-operator /usr/local/bin/
USER 65532:65532
