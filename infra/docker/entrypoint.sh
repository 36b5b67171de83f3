#!/bin/sh
# `tapirus`, or Beam's Python worker where a runner starts the container: runners give flags only.
case "${1:-}" in
    --help | --version) ;;
    --*) exec /opt/apache/beam/boot "$@" ;;
esac
exec tapirus "$@"
