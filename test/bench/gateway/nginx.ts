import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'qwen-coder-operator', 'nginx');

/**
 * The path of an nginx: one that is named, one that is installed, or Debian's package, unpacked into the cache.
 *
 * **Fails when** there is none: an error that says how to have one.
 */
export async function findNginx(named: string | undefined): Promise<string> {
  if (named !== undefined) return named;
  const installed = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
    .map((folder) => join(folder, 'nginx'))
    .find((path) => existsSync(path));
  if (installed !== undefined) return installed;
  const unpacked = join(CACHE, 'usr/sbin/nginx');
  if (existsSync(unpacked)) return unpacked;
  try {
    await mkdir(CACHE, { recursive: true });
    process.stderr.write('nginx is not installed; its Debian package is fetched\n');
    execFileSync('apt-get', ['download', 'nginx'], { cwd: CACHE, stdio: 'ignore' });
    execFileSync('sh', ['-c', 'dpkg-deb -x nginx_*.deb .'], { cwd: CACHE, stdio: 'ignore' });
    execFileSync(unpacked, ['-v'], { stdio: 'ignore' });
    return unpacked;
  } catch (error) {
    throw new Error('there is no nginx: install it, or name one with --nginx PATH', { cause: error });
  }
}

/** A plain reverse proxy of one process in the foreground, without logs. Answers its arguments. */
export async function nginxArguments(folder: string, port: number, originPort: number): Promise<string[]> {
  const configuration = join(folder, 'nginx.conf');
  await writeFile(
    configuration,
    `worker_processes 1;
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path ${folder};
  proxy_temp_path ${folder};
  fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
  client_max_body_size 16m;
  client_body_buffer_size 1m;
  keepalive_requests 10000000;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 512; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
`,
  );
  return ['-p', folder, '-c', configuration, '-e', `${folder}/error.log`];
}
