/**
 * Every flag of `vllm serve` from 0.15.1 to 0.33.0, one a line:
 *
 *     <values> <flag>[@<versions>] [!]<other spelling>[@<versions>] …
 *
 * `<values>`: 0 none, 1 one, ? at most one, + one or more. `!` marks a spelling that switches the flag off. `@<versions>` is
 * where the spelling is accepted, by sampled version: `@0.18.1` since, `@..0.17.1` until, `@0.17.1..0.26.0` both, more than
 * one where it came back; nothing where it always was.
 *
 * Source: vLLM's own argument parser, run from the wheels of 0.15.1, 0.16.0, 0.17.1, 0.18.1, 0.19.1, 0.20.2, 0.22.1, 0.24.0,
 * 0.26.0, 0.29.0, 0.31.0 and 0.33.0 with torch mocked; short spellings and value counts from its tables of 0.15.0 and 0.33.0.
 */
export const VLLM_FLAGS = `
1 --additional-config
0 --aggregate-engine-logging
1 --all2all-backend
0 --allow-credentials !--no-allow-credentials
0 --allow-deprecated-quantization !--no-allow-deprecated-quantization
1 --allowed-headers
1 --allowed-local-media-path
+ --allowed-media-domains
1 --allowed-methods
1 --allowed-origins
1 --anthropic-disabled-thinking-effort@0.31.0
+ --api-key
1 --api-server-count -asc
0 --async-scheduling !--no-async-scheduling
1 --attention-backend
1 --attention-config -ac
1 --aux-output-config@0.31.0
1 --block-size
0 --calculate-kv-scales@..0.26.0 !--no-calculate-kv-scales@..0.26.0
1 --chat-template
1 --chat-template-content-format
1 --code-revision
1 --cohere-format@0.29.0
0 --cohere-is-reasoning-model@0.29.0 !--no-cohere-is-reasoning-model@0.29.0
+ --collect-detailed-traces
1 --compilation-config -cc
1 --config
1 --config-format
1 --convert
1 --cp-kv-cache-interleave-size
1 --cpu-distributed-timeout-seconds@0.22.1
1 --cpu-offload-gb
+ --cpu-offload-params@0.17.1
+ --cudagraph-capture-sizes
0 --cudagraph-metrics !--no-cudagraph-metrics
1 --custom-histogram-buckets@0.33.0
1 --data-parallel-address -dpa
1 --data-parallel-backend -dpb
0 --data-parallel-external-lb !--no-data-parallel-external-lb -dpe
0 --data-parallel-hybrid-lb !--no-data-parallel-hybrid-lb -dph
0 --data-parallel-multi-port-external-lb@0.22.1 -dpm@0.33.0
1 --data-parallel-rank -dpn
1 --data-parallel-rpc-port -dpp
1 --data-parallel-size -dp
1 --data-parallel-size-local -dpl
1 --data-parallel-start-rank -dpr
1 --data-parallel-supervisor-port@0.22.1
1 --dbo-decode-token-threshold
1 --dbo-prefill-token-threshold
1 --dcp-comm-backend@0.18.1
1 --dcp-kv-cache-interleave-size
0 --dcp-q-replicate@0.29.0 !--no-dcp-q-replicate@0.29.0
1 --decode-context-parallel-size -dcp
1 --default-chat-template-kwargs
1 --default-mm-loras
1 --device-ids@0.24.0
1 --diffusion-config@0.24.0 -dc@0.33.0
1 --disable-access-log-for-endpoints@0.16.0
0 --disable-cascade-attn --enable-cascade-attn@0.33.0 !--no-disable-cascade-attn
0 --disable-chunked-mm-input --enable-chunked-mm-input@0.33.0 !--no-disable-chunked-mm-input
0 --disable-custom-all-reduce --enable-custom-all-reduce@0.33.0 !--no-disable-custom-all-reduce
0 --disable-fastapi-docs --enable-fastapi-docs@0.33.0 !--no-disable-fastapi-docs
0 --disable-frontend-multiprocessing@..0.18.1 !--no-disable-frontend-multiprocessing@..0.18.1
0 --disable-hybrid-kv-cache-manager --enable-hybrid-kv-cache-manager@0.33.0 !--no-disable-hybrid-kv-cache-manager
0 --disable-log-stats
0 --disable-nccl-for-dp-synchronization --enable-nccl-for-dp-synchronization@0.33.0 !--no-disable-nccl-for-dp-synchronization
0 --disable-sliding-window --enable-sliding-window@0.33.0 !--no-disable-sliding-window
0 --disable-uvicorn-access-log --enable-uvicorn-access-log@0.33.0 !--no-disable-uvicorn-access-log
1 --distributed-executor-backend
1 --distributed-timeout-seconds@0.18.1
1 --download-dir
1 --dp-supervisor-probe-failure-threshold@0.22.1
1 --dp-supervisor-probe-interval-s@0.22.1
1 --dp-supervisor-probe-timeout-s@0.22.1
1 --dp-sync-interval@0.31.0
1 --dtype
1 --ec-manager-config@0.29.0
1 --ec-transfer-config
1 --elastic-ep-max-dp-size@0.31.0
0 --enable-auto-tool-choice !--disable-auto-tool-choice@0.33.0 !--no-enable-auto-tool-choice
0 --enable-batch-sharded-sampling@0.29.0 !--disable-batch-sharded-sampling@0.33.0 !--no-enable-batch-sharded-sampling@0.29.0
0 --enable-bf16x3-router-gemm@0.26.0..0.29.0 !--no-enable-bf16x3-router-gemm@0.26.0..0.29.0
0 --enable-chunked-prefill !--disable-chunked-prefill@0.33.0 !--no-enable-chunked-prefill
0 --enable-cumem-allocator@0.22.1 !--disable-cumem-allocator@0.33.0 !--no-enable-cumem-allocator@0.22.1
0 --enable-dbo !--disable-dbo@0.33.0 !--no-enable-dbo
0 --enable-elastic-ep@0.17.1 !--disable-elastic-ep@0.33.0 !--no-enable-elastic-ep@0.17.1
0 --enable-ep-weight-filter@0.18.1 !--disable-ep-weight-filter@0.33.0 !--no-enable-ep-weight-filter@0.18.1
0 --enable-eplb !--disable-eplb@0.33.0 !--no-enable-eplb
0 --enable-expert-parallel !--disable-expert-parallel@0.33.0 !--no-enable-expert-parallel -ep
0 --enable-fault-tolerance@0.29.0 !--disable-fault-tolerance@0.33.0 !--no-enable-fault-tolerance@0.29.0
0 --enable-flash-late-interaction@0.20.2 !--disable-flash-late-interaction@0.33.0 !--no-enable-flash-late-interaction@0.20.2
0 --enable-flashinfer-autotune@0.16.0 !--disable-flashinfer-autotune@0.33.0 !--no-enable-flashinfer-autotune@0.16.0
0 --enable-force-include-usage !--disable-force-include-usage@0.33.0 !--no-enable-force-include-usage
0 --enable-hc-sp@0.33.0 !--disable-hc-sp@0.33.0 !--no-enable-hc-sp@0.33.0
0 --enable-layerwise-nvtx-tracing !--disable-layerwise-nvtx-tracing@0.33.0 !--no-enable-layerwise-nvtx-tracing
0 --enable-log-deltas !--disable-log-deltas@0.33.0 !--no-enable-log-deltas
0 --enable-log-outputs !--disable-log-outputs@0.33.0 !--no-enable-log-outputs
0 --enable-log-requests !--disable-log-requests@..0.16.0@0.33.0 --no-disable-log-requests@..0.16.0 !--no-enable-log-requests
0 --enable-logging-iteration-details !--disable-logging-iteration-details@0.33.0 !--no-enable-logging-iteration-details
0 --enable-lora !--disable-lora@0.33.0 !--no-enable-lora
0 --enable-mamba-cache-stochastic-rounding@0.20.2 !--disable-mamba-cache-stochastic-rounding@0.33.0 !--no-enable-mamba-cache-stochastic-rounding@0.20.2
0 --enable-mamba-shared-prefix-checkpoint@0.31.0 !--disable-mamba-shared-prefix-checkpoint@0.33.0 !--no-enable-mamba-shared-prefix-checkpoint@0.31.0
0 --enable-mfu-metrics !--disable-mfu-metrics@0.33.0 !--no-enable-mfu-metrics
0 --enable-mixed-moe-lora-format@0.22.1 !--disable-mixed-moe-lora-format@0.33.0 !--no-enable-mixed-moe-lora-format@0.22.1
0 --enable-mm-embeds !--disable-mm-embeds@0.33.0 !--no-enable-mm-embeds
0 --enable-moe-shared-loras@0.26.0 !--disable-moe-shared-loras@0.33.0 !--no-enable-moe-shared-loras@0.26.0
0 --enable-nccl-comm-suspend@0.31.0 !--disable-nccl-comm-suspend@0.33.0 !--no-enable-nccl-comm-suspend@0.31.0
0 --enable-offline-docs !--disable-offline-docs@0.33.0 !--no-enable-offline-docs
0 --enable-per-request-metrics@0.26.0 !--disable-per-request-metrics@0.33.0 !--no-enable-per-request-metrics@0.26.0
0 --enable-prefix-caching !--disable-prefix-caching@0.33.0 !--no-enable-prefix-caching
0 --enable-prompt-embeds !--disable-prompt-embeds@0.33.0 !--no-enable-prompt-embeds
0 --enable-prompt-tokens-details !--disable-prompt-tokens-details@0.33.0 !--no-enable-prompt-tokens-details
0 --enable-request-id-headers !--disable-request-id-headers@0.33.0 !--no-enable-request-id-headers
0 --enable-return-routed-experts !--disable-return-routed-experts@0.33.0 !--no-enable-return-routed-experts
0 --enable-scale-out@0.31.0 !--disable-scale-out@0.33.0 !--no-enable-scale-out@0.31.0
0 --enable-server-load-tracking !--disable-server-load-tracking@0.33.0 !--no-enable-server-load-tracking
0 --enable-shm-tensor-arena@0.33.0 !--disable-shm-tensor-arena@0.33.0 !--no-enable-shm-tensor-arena@0.33.0
0 --enable-sleep-mode !--disable-sleep-mode@0.33.0 !--no-enable-sleep-mode
0 --enable-ssl-refresh !--disable-ssl-refresh@0.33.0 !--no-enable-ssl-refresh
0 --enable-tokenizer-info-endpoint !--disable-tokenizer-info-endpoint@0.33.0 !--no-enable-tokenizer-info-endpoint
0 --enable-tower-connector-lora !--disable-tower-connector-lora@0.33.0 !--no-enable-tower-connector-lora
0 --enable-trace-replay@0.29.0 !--disable-trace-replay@0.33.0 !--no-enable-trace-replay@0.29.0
0 --enforce-eager !--no-enforce-eager
1 --engram-config@0.31.0
1 --eplb-config
0 --exclude-tools-when-tool-choice-none !--no-exclude-tools-when-tool-choice-none
1 --expert-placement-strategy
0 --fail-on-environ-validation@0.17.1 !--no-fail-on-environ-validation@0.17.1
1 --fault-tolerance-config@0.29.0
1 --fingerprint-mode@0.22.1
1 --fingerprint-value@0.22.1
0 --fully-sharded-loras !--no-fully-sharded-loras
1 --gdn-prefill-backend@0.18.1
1 --generation-config
1 --gpu-memory-utilization --device-memory-utilization@0.31.0
0 --grpc@0.20.2
1 --grpc-port@0.33.0
1 --h11-max-header-count
1 --h11-max-incomplete-event-size
0 --headless
0 --help -h
1 --hf-config-path
1 --hf-overrides
? --hf-token
1 --host
+ --ignore-patterns
0 --interleave-mm-strings !--no-interleave-mm-strings
1 --io-processor-plugin
1 --ir-op-priority@0.20.2
1 --jit-monitor-mode@0.26.0
0 --jit-monitor-verbose@0.24.0 !--no-jit-monitor-verbose@0.24.0
1 --kda-decode-backend@0.31.0
1 --kda-prefill-backend@0.29.0
1 --kernel-config@0.16.0
1 --kv-cache-dtype
+ --kv-cache-dtype-skip-layers@0.19.1
1 --kv-cache-memory-bytes
0 --kv-cache-metrics !--no-kv-cache-metrics
1 --kv-cache-metrics-sample
1 --kv-events-config
1 --kv-offloading-backend
1 --kv-offloading-size
0 --kv-sharing-fast-prefill !--no-kv-sharing-fast-prefill
1 --kv-transfer-config
0 --language-model-only@0.17.1 !--no-language-model-only@0.17.1
1 --limit-mm-per-prompt
1 --linear-backend@0.22.1
1 --load-format
1 --log-config-file
0 --log-error-stack !--no-log-error-stack
1 --log-level@0.31.0
1 --logging-config@0.31.0
1 --logits-processor-pattern@..0.16.0
+ --logits-processors
1 --logprobs-mode
1 --long-prefill-token-threshold
0 --long-prefill-token-threshold-adaptive@0.31.0 !--no-long-prefill-token-threshold-adaptive@0.31.0
1 --lora-dtype
+ --lora-modules
+ --lora-target-modules@0.19.1
1 --mamba-backend@0.20.2
1 --mamba-block-size
1 --mamba-cache-dtype
1 --mamba-cache-mode
1 --mamba-cache-philox-rounds@0.20.2
1 --mamba-ssm-cache-dtype
1 --mamba-ssu-algorithm@0.29.0
1 --master-addr
1 --master-port
1 --max-cpu-loras
1 --max-cudagraph-capture-size
1 --max-log-len
1 --max-logprobs
1 --max-long-partial-prefills@..0.26.0
1 --max-lora-cls-labels@0.31.0
1 --max-lora-rank
1 --max-loras
1 --max-model-len
1 --max-num-active-seqs@0.31.0
1 --max-num-batched-tokens
1 --max-num-partial-prefills@..0.26.0
1 --max-num-queued-reqs@0.29.0
1 --max-num-queued-tokens@0.29.0
1 --max-num-scheduled-tokens@0.26.0
1 --max-num-seqs
1 --max-parallel-loading-workers
1 --media-io-kwargs
1 --middleware
0 --mm-device-do-normalize@0.29.0 !--no-mm-device-do-normalize@0.29.0
1 --mm-encoder-attn-backend
1 --mm-encoder-attn-dtype@0.22.1
1 --mm-encoder-fp8-scale-path@0.22.1
1 --mm-encoder-fp8-scale-save-margin@0.22.1
1 --mm-encoder-fp8-scale-save-path@0.22.1
0 --mm-encoder-only !--no-mm-encoder-only
1 --mm-encoder-tp-mode
1 --mm-hasher-algorithm@0.29.0
1 --mm-ipc-gpu-memory-gb@0.26.0
1 --mm-processor-cache-gb
1 --mm-processor-cache-type
1 --mm-processor-device@0.29.0
1 --mm-processor-kwargs
1 --mm-shm-cache-max-object-size-mb
1 --mm-tensor-ipc@0.19.1
1 --model
1 --model-class-overrides@0.26.0
1 --model-impl
1 --model-loader-extra-config
1 --moe-backend@0.17.1
0 --monokernel@0.33.0 !--no-monokernel@0.33.0
1 --nnodes -n
1 --node-rank -r
1 --num-gpu-blocks-override
0 --numa-bind@0.20.2 !--no-numa-bind@0.20.2
+ --numa-bind-cpus@0.20.2
+ --numa-bind-nodes@0.20.2
1 --offload-backend@0.17.1
1 --offload-group-size@0.17.1
1 --offload-num-in-group@0.17.1
+ --offload-params@0.17.1
1 --offload-prefetch-step@0.17.1
1 --optimization-level
1 --otlp-traces-endpoint
1 --override-attention-dtype@..0.26.0
1 --override-generation-config
1 --per-request-spec-decode-metrics@0.29.0
1 --performance-mode@0.17.1
1 --pipeline-parallel-size -pp
1 --pooler-config
1 --port
1 --prefill-context-parallel-size -pcp
1 --prefill-schedule-interval@0.24.0
1 --prefix-cache-retention-interval@0.29.0
1 --prefix-caching-hash-algo
1 --prefix-match-unit@0.26.0
1 --profiler-config
1 --pt-load-map-location
1 --quantization -q
1 --quantization-config@0.22.1
0 --ray-workers-use-nsight !--no-ray-workers-use-nsight
1 --reasoning-config@0.19.1
1 --reasoning-effort-map@0.33.0
1 --reasoning-parser
1 --reasoning-parser-plugin
1 --renderer-num-workers@0.19.1
1 --replayssm-buffer-len@0.29.0
1 --response-role
0 --return-sampling-mask@0.29.0 !--no-return-sampling-mask@0.29.0
0 --return-tokens-as-token-ids !--no-return-tokens-as-token-ids
1 --revision
1 --root-path
1 --runner
1 --safetensors-load-strategy
1 --safetensors-prefetch-block-size@0.22.1
1 --safetensors-prefetch-num-threads@0.22.1
1 --scheduler-cls
0 --scheduler-reserve-full-isl@0.19.1 !--no-scheduler-reserve-full-isl@0.19.1
1 --scheduling-policy
1 --seed
+ --served-model-name
1 --show-hidden-metrics-for-version
1 --shutdown-timeout@0.18.1
0 --skip-mm-profiling !--no-skip-mm-profiling
0 --skip-tokenizer-init !--no-skip-tokenizer-init
1 --sleep-mode-backend@0.33.0
0 --sleep-mode-offload-cudagraph@0.33.0 !--no-sleep-mode-offload-cudagraph@0.33.0
+ --sleep-preserve-parameter-names@0.31.0
1 --sparse-indexer-topk-backend@0.31.0
1 --spec-method@0.22.1
1 --spec-model@0.22.1
1 --spec-tokens@0.22.1
0 --specialize-active-lora@0.16.0 !--no-specialize-active-lora@0.16.0
1 --speculative-config -sc@0.33.0
1 --sse-keep-alive-interval@0.29.0
1 --ssl-ca-certs
1 --ssl-cert-reqs
1 --ssl-certfile
1 --ssl-ciphers
1 --ssl-keyfile
1 --stream-interval
1 --structured-outputs-config
0 --swa-bounded-replay@0.31.0 !--no-swa-bounded-replay@0.31.0
1 --swap-space@..0.17.1
1 --tensor-parallel-size -tp
1 --tokenizer
1 --tokenizer-mode
1 --tokenizer-revision
0 --tokens-only !--no-tokens-only
1 --tool-call-parser
1 --tool-parser-plugin
1 --tool-server
1 --tool-strict-level@0.31.0
0 --trust-remote-code !--no-trust-remote-code
0 --trust-request-chat-template !--no-trust-request-chat-template
0 --trust-request-mm-kwargs@0.31.0 !--no-trust-request-mm-kwargs@0.31.0
1 --ubatch-size
1 --uds
0 --use-fp64-gumbel@0.22.1 !--no-use-fp64-gumbel@0.22.1
0 --use-gpu-for-pooling-score@0.17.1..0.17.1 !--no-use-gpu-for-pooling-score@0.17.1..0.17.1
0 --use-replayssm@0.29.0 !--no-use-replayssm@0.29.0
0 --use-tqdm-on-load !--no-use-tqdm-on-load
1 --uvicorn-log-level
1 --video-pruning-method@0.29.0
1 --video-pruning-rate
1 --watchdog-config@0.33.0
1 --watermark@0.24.0
1 --watermark-config@0.31.0
1 --weight-transfer-config@0.16.0
1 --worker-cls
1 --worker-extension-cls
`;
