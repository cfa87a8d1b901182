# shellcheck shell=sh
# What a board is, one `edgecv-probe NAME=VALUE` a line. POSIX sh, read by the board's own from its stdin.
PATH=$PATH:$HOME/.local/bin:$HOME/.cargo/bin # where uv puts itself and its Pythons
say() { printf 'edgecv-probe %s=%s\n' "$1" "$2"; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/edgecv/remote
say home "$HOME"
say cache "$cache"
say system "$(uname -s)"
say machine "$(uname -m)"
folder=$cache
while [ -n "$folder" ] && [ ! -d "$folder" ]; do folder=${folder%/*}; done
say free_kb "$(df -Pk "${folder:-/}" | awk 'NR == 2 { print $4 }')"
say uv "$(command -v uv)"

# Python tells its own architecture: a 64-bit kernel may run a 32-bit system.
for name in python3 python3.13 python3.12 python3.11 python3.10; do
    command -v $name >/dev/null || continue
    $name -c '
import importlib.util, json, os, platform, struct, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except ValueError:
    libc = ""
modules = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name)]
print("edgecv-probe python=" + json.dumps({
    "path": sys.executable, "version": sys.version_info[:2], "machine": platform.machine(),
    "bits": 8 * struct.calcsize("P"), "libc": libc, "venv": len(modules) == 2,
}))' 2>/dev/null
done
