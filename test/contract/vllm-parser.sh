#!/usr/bin/env bash
# Lets vLLM's own parser judge the arguments of every golden plan: test/contract/vllm-parser.test.ts with the parsers that it needs.
#
#   test/contract/vllm-parser.sh [VERSION ...]     0.33.0 and 0.15.1 when none is named
#
# Needs a network, python3 (3.10 to 3.13) with venv, and about 1 GB a version; no GPU and no torch, which vllm-parser.py stands in for.
# Everything is kept in VLLM_PARSERS (.vllm-parsers below the folder for temporary files when unset), so a second run is quick.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${VLLM_PARSERS:-${TMPDIR:-/tmp}/.vllm-parsers}
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- 0.33.0 0.15.1

# What vLLM imports on the way to its parser; of its other requirements vllm-parser.py makes up what is absent.
packages=(
  aiohttp blake3 cachetools cbor2 cloudpickle einops fastapi gguf jinja2 jsonschema msgspec numpy openai openai-harmony orjson
  partial-json-parser pillow prometheus-client prometheus-fastapi-instrumentator psutil py-cpuinfo pybase64 pydantic pydantic-settings
  python-json-logger pyyaml pyzmq regex requests sentencepiece setproctitle tiktoken uvloop
)

# The wheel's Python files and an environment for them, in one folder; it appears under its name when it is whole.
prepare() {
  local version=$1 target=$folder/$1
  [ ! -d "$target" ] || return 0
  local work=$target.part
  rm -rf "$work"
  mkdir -p "$work"
  # From 0.22 on vLLM needs the API of transformers 5, before it that of 4.
  local transformers='transformers<5'
  [ "$(printf '%s\n' "$version" 0.22.0 | sort -V | head -n 1)" = "$version" ] || transformers='transformers>=5.16.1'
  "$python" -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" "$transformers"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --platform manylinux_2_31_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux1_x86_64 \
    --dest "$work/wheel" "vllm==$version"
  "$work/venv/bin/python" - "$work" <<'PYTHON'
import glob, sys, zipfile
(wheel,) = glob.glob(f'{sys.argv[1]}/wheel/*.whl')
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(f'{sys.argv[1]}/root', [name for name in archive.namelist() if name.endswith('.py')])
PYTHON
  rm -rf "$work/wheel"
  mv "$work" "$target"
}

parsers=
for version in "$@"; do
  prepare "$version"
  # A moved environment finds its packages by the path of its python alone.
  parsers+=${parsers:+,}"\"$version\":[\"$folder/$version/venv/bin/python\",\"$here/vllm-parser.py\",\"$folder/$version/root\"]"
done

cd "$here/../.."
QWEN_CODER_VLLM_PARSERS="{$parsers}" npm run test:unit -- test/contract/vllm-parser.test.ts
