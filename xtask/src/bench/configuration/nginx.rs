//! nginx's: buffers that hold a 1 MiB body without a temporary file, and uploads passed on as they
//! come.

use super::{CONNECTIONS_MAX, IDLE_SECONDS, Job, POOL, Place};
use crate::bench::scenario::Entrance;
use crate::setup::NGINX_STREAM_MODULE;

pub(crate) fn nginx(job: &Job<'_>, place: &Place<'_>) -> String {
    let folder = place.folder.display();
    let module = match job.entrance {
        Entrance::Http | Entrance::Https => String::new(),
        Entrance::Tcp => format!("load_module {NGINX_STREAM_MODULE};\n"),
    };
    let service = match job.entrance {
        Entrance::Http => http(job, place, "", ""),
        Entrance::Https => {
            let (chain, key) = (job.certificate.chain.display(), job.certificate.key.display());
            let tls = format!(
                "ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
            );
            http(job, place, " ssl", &tls)
        }
        Entrance::Tcp => format!(
            "stream {{ server {{ listen {} backlog=4096; proxy_pass {}; }} }}\n",
            place.address, job.upstream
        ),
    };
    format!(
        "{module}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
user root;
events {{ worker_connections {CONNECTIONS_MAX}; }}
{service}"
    )
}

fn http(job: &Job<'_>, place: &Place<'_>, listen: &str, tls: &str) -> String {
    let (address, upstream, folder) = (place.address, job.upstream, place.folder.display());
    format!(
        "http {{
  access_log off;
  keepalive_requests 1000000000; keepalive_timeout {IDLE_SECONDS}s;
  client_max_body_size 0;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_buffer_size 16k; proxy_buffers 8 128k; proxy_busy_buffers_size 256k;
  proxy_max_temp_file_size 0; proxy_request_buffering off;
  upstream bench {{
    server {upstream}; keepalive {POOL}; keepalive_requests 1000000000;
  }}
  server {{
    listen {address}{listen} backlog=4096;
    {tls}
    location / {{
      proxy_pass http://bench; proxy_http_version 1.1;
      proxy_set_header Connection \"\"; proxy_set_header Host $host;
    }}
    location /echo {{
      proxy_pass http://bench; proxy_http_version 1.1;
      proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade;
    }}
  }}
}}
"
    )
}
