/**
 * The two programs that run inside the engine image. Both are standard Python plus what every vLLM image ships (huggingface_hub), take
 * their name as first argument, and are shown in full by `kubectl get job|pod -o yaml`.
 */

/**
 * Downloads one revision of a checkpoint into the hub cache on the volume, checks size and SHA-256 of every file against the hub, and
 * writes the manifest last and atomically: a manifest means a whole checkpoint. The commit goes to the termination message.
 */
export const FETCH_WEIGHTS = `
import argparse, hashlib, json, os, pathlib, sys
from huggingface_hub import HfApi, snapshot_download

parser = argparse.ArgumentParser(prog="fetch-weights")
parser.add_argument("--repository", required=True)
parser.add_argument("--revision", required=True)
parser.add_argument("--manifest", required=True, type=pathlib.Path)
asked = parser.parse_args(sys.argv[2:])

info = HfApi().model_info(asked.repository, revision=asked.revision, files_metadata=True)
root = pathlib.Path(snapshot_download(asked.repository, revision=asked.revision))
if root.name != info.sha:
    sys.exit(f"{asked.revision} moved from {info.sha} to {root.name} during the download; it is tried again")

def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 24):
            digest.update(chunk)
    return digest.hexdigest()

known = {}
if asked.manifest.exists():
    held = json.loads(asked.manifest.read_text())
    known = {entry["path"]: entry for entry in held["files"]} if held["commit"] == info.sha else {}

files, done, total = [], 0, sum(sibling.size or 0 for sibling in info.siblings)
for sibling in info.siblings:
    path = root / sibling.rfilename
    size = path.stat().st_size
    if sibling.size is not None and size != sibling.size:
        sys.exit(f"{sibling.rfilename}: {size} bytes on the volume, {sibling.size} on the hub")
    if sibling.lfs and known.get(sibling.rfilename, {}).get("sha256") != sibling.lfs.sha256 and sha256(path) != sibling.lfs.sha256:
        os.unlink(path.resolve())
        sys.exit(f"{sibling.rfilename}: SHA-256 differs from the hub's; the file was removed and is fetched again")
    files.append({"path": sibling.rfilename, "bytes": size, "sha256": sibling.lfs.sha256 if sibling.lfs else None})
    done += size
    print(f"verified {done} of {total} bytes", flush=True)

asked.manifest.parent.mkdir(parents=True, exist_ok=True)
draft = asked.manifest.with_suffix(".tmp")
draft.write_text(json.dumps({"repository": asked.repository, "revision": asked.revision, "commit": info.sha, "files": files}))
os.replace(draft, asked.manifest)
pathlib.Path("/dev/termination-log").write_text(json.dumps({"commit": info.sha, "bytes": total}))
`.trimStart();

/**
 * Returns when the engine has neither running nor waiting requests, or its deadline has passed. It first waits out the propagation of the
 * pod's removal from endpoints. An engine that refuses connections has nothing left to wait for.
 */
export const WAIT_FOR_IDLE = `
import argparse, os, sys, time, urllib.request

parser = argparse.ArgumentParser(prog="wait-for-idle")
parser.add_argument("--port", required=True, type=int)
parser.add_argument("--seconds", required=True, type=float)
asked = parser.parse_args(sys.argv[2:])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
deadline = time.monotonic() + asked.seconds

time.sleep(min(3, asked.seconds))
while time.monotonic() < deadline:
    try:
        text = opener.open(f"http://{os.environ['POD_IP']}:{asked.port}/metrics", timeout=5).read().decode()
        if not any(
            line.startswith(("vllm:num_requests_running{", "vllm:num_requests_waiting{")) and float(line.rsplit(" ", 1)[1]) > 0
            for line in text.splitlines()
        ):
            break
    except ConnectionRefusedError:
        break
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
            break
    time.sleep(1)
`.trimStart();
