"""How servers word their refusals, each with what it means: rows for `test_wire.py`.

A row is a status, a body, the kind, and for a request that is too long the tokens that the server counted and allows.
The wording is that of public bug reports and of the providers' own pages.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from victor_dsl.errors import ModelErrorKind


class Refusal(NamedTuple):
    """One refusal."""

    server: str
    status: int
    body: Any
    kind: ModelErrorKind
    counted: int | None = None
    window: int | None = None


def _error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


TOO_LONG = [
    Refusal("OpenAI", 400, _error("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.", type="invalid_request_error", param="messages", code="context_length_exceeded"), "context_length", 9000, 8192),
    Refusal("OpenAI, newer words", 400, _error("Your input exceeds the context window of this model. Please adjust your input and try again.", code="context_length_exceeded"), "context_length"),
    Refusal("OpenAI, one text", 400, _error("Invalid 'messages[1].content': string too long. Expected a string with maximum length 10485760, but got a string with length 11000000 instead.", code="string_above_max_length"), "context_length"),
    Refusal("Anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 208310 tokens > 200000 maximum"}}, "context_length", 208310, 200000),
    Refusal("Anthropic, with max_tokens", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}, "context_length", 190000, 200000),
    Refusal("Anthropic, bytes", 413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}, "context_length"),
    Refusal("xAI", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}, "context_length", 537812, 131072),
    Refusal("TGI, answer counted", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 500 `max_new_tokens`", "error_type": "validation"}, "context_length", 4000, 4096),
    Refusal("TGI", 422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5120", "error_type": "validation"}, "context_length", 5120, 4096),
    Refusal("Together", 422, _error("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4101 `inputs` tokens and 1 `max_new_tokens`", type="invalid_request_error"), "context_length", 4101, 4097),
    Refusal("Together, newer words", 400, _error("The input (265330 tokens) is longer than the model's context length (262144 tokens).", type="invalid_request_error"), "context_length", 265330, 262144),
    Refusal("Moonshot", 400, _error("Invalid request: Your request exceeded model token limit: 8192", type="invalid_request_error"), "context_length", None, 8192),
    Refusal("Kimi", 400, _error("Your request exceeded model token limit: 262144 (requested: 291351)", type="invalid_request_error"), "context_length", 291351, 262144),
    Refusal("DashScope", 400, _error("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", code="invalid_parameter_error"), "context_length", None, 30720),
    Refusal("DashScope, its own shape", 400, {"code": "InvalidParameter", "message": "Range of input length should be [1, 6000]", "request_id": "x"}, "context_length", None, 6000),
    Refusal("Copilot", 400, _error("prompt token count of 135000 exceeds the limit of 128000", code="model_max_prompt_tokens_exceeded"), "context_length", 135000, 128000),
    Refusal("Copilot, code alone", 400, _error("bad request", code="model_max_prompt_tokens_exceeded"), "context_length"),
    Refusal("Gemini", 400, _error("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", code=400, status="INVALID_ARGUMENT"), "context_length", 1200000, 1048576),
    Refusal("Gemini's list", 400, [_error("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", code=400, status="INVALID_ARGUMENT")], "context_length", 1200000, 1048576),
    Refusal("Groq", 413, _error("Request too large for model `llama-3.3` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 6700, please reduce your message size and try again.", type="tokens", code="rate_limit_exceeded"), "context_length", 6700, 6000),
    Refusal("OpenAI, larger than a minute's tokens", 429, _error("Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully.", type="tokens", code="rate_limit_exceeded"), "context_length", 45000, 30000),
    Refusal("Bedrock", 400, {"message": "Input is too long for requested model."}, "context_length"),
    Refusal("Mistral", 400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_prompt", "code": 3051}, "context_length", 40000, 32768),
    Refusal("vLLM", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages, Please reduce the length of the messages.", "type": "BadRequestError", "param": None, "code": 400}, "context_length", 5000, 4096),
    Refusal("vLLM, prompt", 400, _error("The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens.", type="BadRequestError", code=400), "context_length"),
    Refusal("llama.cpp", 400, {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error", "n_prompt_tokens": 2000, "n_ctx": 1024}}, "context_length", 2000, 1024),
    Refusal("LM Studio", 400, {"error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}, "context_length"),
    Refusal("LM Studio, older words", 400, _error("The number of tokens to keep from the initial prompt is greater than the context length."), "context_length"),
    Refusal("SGLang", 400, {"object": "error", "message": "The input (9000 tokens) is longer than the model's context length (8192 tokens).", "type": "BadRequestError", "code": 400}, "context_length", 9000, 8192),
    Refusal("Cerebras", 400, _error("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", code="context_length_exceeded"), "context_length"),
    Refusal("Cerebras, no words", 413, b"", "context_length"),
    Refusal("OpenRouter", 400, _error("This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (139000 of text input, 1000 in the output). Please reduce the length of either one, or use the \"middle-out\" transform.", code=400), "context_length", 139000, 131072),
    Refusal("OpenRouter, a provider's own", 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}', "provider_name": "Anthropic"}}}, "context_length", 208310, 200000),
    Refusal("Poolside, GLM", 400, _error("Input length 131393 exceeds the maximum allowed input length of 131040 tokens.", code="400"), "context_length", 131393, 131040),
    Refusal("with brackets", 400, _error("Input length (265330) exceeds model's maximum context length (262144)."), "context_length", 265330, 262144),
    Refusal("MiniMax", 400, {"type": "error", "error": {"type": "bad_request_error", "message": "invalid params, context window exceeds limit (2013)"}}, "context_length"),
    Refusal("z.ai", 400, _error("Prompt exceeds max length", code="1261"), "context_length"),
    Refusal("Ollama", 400, _error("prompt too long; exceeded max context length by 4 tokens", type="invalid_request_error"), "context_length"),
    Refusal("Cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130000. Try using a shorter prompt."}, "context_length"),
    Refusal("AI21", 422, {"detail": "Prompt is too long: 300000 > 256000"}, "context_length"),
    Refusal("FastAPI", 422, {"detail": [{"loc": ["body"], "msg": "prompt has 32769 tokens, but the configured context size is 32768 tokens", "type": "value_error"}]}, "context_length", 32769, 32768),
    Refusal("LiteLLM", 400, _error("litellm.ContextWindowExceededError: litellm.BadRequestError: prompt is too long: 208310 tokens > 200000 maximum", code="400"), "context_length", 208310, 200000),
    Refusal("nginx", 413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", "context_length"),
    Refusal("plain text", 400, b"prompt is too long: 5000 tokens > 4096 maximum", "context_length", 5000, 4096),
    Refusal("unlisted words with two numbers", 422, _error("You sent 70123 tokens; this deployment answers up to 65536."), "context_length"),
    Refusal("Fireworks", 400, _error("The prompt is too long: 140000, model maximum context length: 131071", type="invalid_request_error"), "context_length"),
    Refusal("Databricks", 400, {"error_code": "BAD_REQUEST", "message": "Input token count 40000 exceeds the max input 32000."}, "context_length"),
    Refusal("GitHub Models", 413, _error("Request body too large for gpt-4o model. Max size: 8000 tokens.", code="tokens_limit_reached"), "context_length", None, 8000),
    Refusal("watsonx", 400, {"errors": [{"code": "invalid_input_argument", "message": "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model"}]}, "context_length"),
    Refusal("a sequence length", 400, _error("Input exceeds maximum sequence length of 4096"), "context_length"),
    Refusal("Qianfan", 400, {"error_code": 336007, "error_msg": "the max input characters is 20000"}, "context_length"),
    Refusal("Chinese words", 400, _error("Prompt 超长", code="1261"), "context_length"),
    Refusal("Ark", 400, _error("Total tokens of image and text exceed max message tokens", code="InvalidParameter"), "context_length"),
    Refusal("a conversation", 400, _error("The conversation has become too long for this model."), "context_length"),
    Refusal("server error", 500, _error("input is too large to process: exceeds the context size", type="server_error"), "context_length"),
    Refusal("Gemini, newer words", 400, _error("The input token count exceeds the maximum number of tokens allowed 1048576.", status="INVALID_ARGUMENT"), "context_length", None, 1048576),
    Refusal("Vertex", 400, _error("Unable to submit request because the input token count is 1200000 but model only supports up to 1048576. Reduce the input token count and try again.", status="INVALID_ARGUMENT"), "context_length", 1200000, 1048576),
    Refusal("llama.cpp without fields", 400, _error("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", code=400), "context_length", 5000, 4096),
    Refusal("older llama.cpp", 500, _error("context shift is disabled", code=500, type="server_error"), "context_length"),
    Refusal("Bedrock, counted", 400, {"message": "Too many input tokens. Max input tokens: 8192, request input token count: 9000"}, "context_length", 9000, 8192),
    Refusal("Cohere, newer words", 400, {"message": "the total number of tokens in your request exceeds the model's limit of 132096 tokens"}, "context_length"),
    Refusal("Hyperbolic", 400, _error("Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 140000 tokens: 130000 tokens from the input messages and 10000 tokens for the completion."), "context_length", 130000, 131072),
    Refusal("SiliconFlow", 400, {"code": 20015, "message": "length of prompt_tokens (40000) must be less than max_seq_len (32768).", "data": None}, "context_length", 40000, 32768),
    Refusal("Qianfan's chat API", 400, _error("prompt tokens too long", code="tokens_too_long"), "context_length"),
    Refusal("Cloudflare", 413, {"errors": [{"message": "AiError: The estimated number of input and maximum output tokens (25044) exceeded this model context window limit (24000).", "code": 5021}], "success": False}, "context_length", None, 24000),
    Refusal("vLLM, where max_tokens leaves no room", 400, _error("'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 8192 tokens and your request has 7000 input tokens (4000 > 8192 - 7000).", type="BadRequestError", code=400), "context_length", 7000, 8192),
    Refusal("Hunyuan", 400, {"Response": {"Error": {"Code": "InvalidParameterValue", "Message": "Input tokens exceed the limit: 28000"}, "RequestId": "x"}}, "context_length"),
]  # fmt: skip

NOT_TOO_LONG = [
    Refusal("max_tokens beyond the model's", 400, _error("max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.", param="max_tokens"), "bad_request"),
    Refusal("DashScope's max_tokens", 400, _error("Range of max_tokens should be [1, 8192]", code="invalid_parameter_error"), "bad_request"),
    Refusal("tokens per minute", 429, _error("Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 1500. Please try again in 1s.", type="tokens", code="rate_limit_exceeded"), "rate_limited"),
    Refusal("Bedrock's throttle", 429, {"message": "Too many tokens, please wait before trying again."}, "rate_limited"),
    Refusal("throttle as a 400", 400, {"__type": "ThrottlingException", "message": "Too many tokens per day, please wait before trying again."}, "rate_limited"),
    Refusal("DeepSeek's max_tokens", 400, _error("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"), "bad_request"),
    Refusal("Anthropic's max_tokens", 400, _error("max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-x", type="invalid_request_error"), "bad_request"),
    Refusal("too many tools", 400, _error("tools: maximum length of 128 exceeded"), "bad_request"),
    Refusal("metadata", 400, _error("Invalid 'metadata.user_id': string too long. Expected a string with maximum length 64, but got a string with length 70."), "bad_request"),
    Refusal("a tool's name", 400, _error("Invalid 'tools[0].function.name': string does not match pattern. Expected a string with maximum 64 characters.", code="invalid_value"), "bad_request"),
    Refusal("a proxy's overload", 503, _error("upstream: maximum context length worker busy", type="server_error"), "overloaded"),
    Refusal("the id of a call", 400, _error("Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 64 instead.", code="string_above_max_length"), "bad_request"),
    Refusal("a name", 400, _error("Invalid 'messages[1].name': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.", code="string_above_max_length"), "bad_request"),
    Refusal("a cache key", 400, _error("Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.", code="string_above_max_length"), "bad_request"),
    Refusal("a quota of tokens", 403, {"errors": [{"code": "token_quota_reached", "message": "This monthly token quota of this account has been reached, it exceeds the limit"}]}, "authentication"),
]  # fmt: skip

ACCESS = [
    Refusal("Anthropic's credit", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}, "authentication"),
    Refusal("OpenAI's quota", 429, _error("You exceeded your current quota, please check your plan and billing details.", type="insufficient_quota", code="insufficient_quota"), "authentication"),
    Refusal("OpenAI's billing", 400, _error("Billing hard limit has been reached", code="billing_hard_limit_reached"), "authentication"),
    Refusal("OpenRouter's credit", 402, _error("Insufficient credits. Add more using https://openrouter.ai/credits", code=402), "authentication"),
    Refusal("DeepSeek's balance", 402, _error("Insufficient Balance", type="unknown_error", code="invalid_request_error"), "authentication"),
    Refusal("Moonshot's balance", 429, _error("Your account org-1 <ak-1> is suspended, please check your plan and billing details", type="exceeded_current_quota_error"), "authentication"),
    Refusal("a gateway's balance", 400, _error("credit insufficient balance: balance=0 required=4560"), "authentication"),
    Refusal("Gemini's key", 400, _error("API key not valid. Please pass a valid API key.", code=400, status="INVALID_ARGUMENT"), "authentication"),
    Refusal("Gemini's key, a list", 400, [_error("API key not valid. Please pass a valid API key.", code=400, status="INVALID_ARGUMENT")], "authentication"),
    Refusal("Gemini's expired key", 400, _error("API key expired. Please renew the API key.", code=400, status="INVALID_ARGUMENT"), "authentication"),
    Refusal("xAI's key", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***ai."}, "authentication"),
    Refusal("MiniMax's key", 400, {"base_resp": {"status_code": 1004, "status_msg": "login fail: invalid api key"}}, "authentication"),
    Refusal("a wrong key", 401, _error("Incorrect API key provided", code="invalid_api_key"), "authentication"),
    Refusal("a region", 403, _error("Country, region, or territory not supported", code="unsupported_country_region_territory"), "authentication"),
    Refusal("no key at all", 400, _error("You didn't provide an API key."), "authentication"),
    Refusal("Gemini's prepaid credit", 429, _error("Your prepayment credits are depleted.", status="RESOURCE_EXHAUSTED"), "authentication"),
    Refusal("OpenAI's inactive billing", 429, _error("Your account is not active, please check your billing details on our website.", code="billing_not_active"), "authentication"),
    Refusal("DashScope's arrears", 400, _error("Access denied, please make sure your account is in good standing.", code="Arrearage"), "authentication"),
    Refusal("a disabled organization", 400, _error("This organization has been disabled."), "authentication"),
    Refusal("an internal error about a key", 404, _error("No auth credentials found"), "authentication"),
    Refusal("Azure's key", 400, {"statusCode": 400, "message": "Access denied due to missing subscription key."}, "authentication"),
    Refusal("Anthropic's own limit", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}, "authentication"),
    Refusal("Gemini's free tier", 400, _error("Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.", code=400, status="FAILED_PRECONDITION"), "authentication"),
    Refusal("Gemini's countries", 400, _error("User location is not supported for the API use.", code=400, status="FAILED_PRECONDITION"), "authentication"),
    Refusal("LiteLLM's budget", 400, _error("Budget has been exceeded! Current cost: 10.5, Max budget: 10.0", type="budget_exceeded", code="400"), "authentication"),
    Refusal("OpenAI's verification", 400, _error("Your organization must be verified to stream this model.", param="stream", code="unsupported_value"), "authentication"),
    Refusal("Tencent's packs", 400, {"Response": {"Error": {"Code": "FailedOperation.ResourcePackExhausted", "Message": "resource pack exhausted"}}}, "authentication"),
]  # fmt: skip

NO_MODEL = [
    Refusal("OpenAI", 404, _error("The model `gpt-9` does not exist or you do not have access to it.", type="invalid_request_error", code="model_not_found"), "model_not_found"),
    Refusal("Anthropic", 404, {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}}, "model_not_found"),
    Refusal("Gemini's list", 404, [_error("models/gemini-9 is not found for API version v1main, or is not supported for generateContent.", code=404, status="NOT_FOUND")], "model_not_found"),
    Refusal("Ollama", 404, _error("model 'llama9' not found, try pulling it first", type="api_error"), "model_not_found"),
    Refusal("vLLM", 404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, "model_not_found"),
    Refusal("OpenRouter", 400, _error("openai/gpt-99 is not a valid model ID", code=400), "model_not_found"),
    Refusal("OpenRouter, none left", 404, _error("No endpoints found for x/y.", code=404), "model_not_found"),
    Refusal("DeepSeek", 400, _error("Model Not Exist", type="invalid_request_error"), "model_not_found"),
    Refusal("Groq, retired", 400, _error("The model `llama2-70b` has been decommissioned and is no longer supported.", code="model_decommissioned"), "model_not_found"),
    Refusal("Azure", 404, _error("The API deployment for this resource does not exist.", code="DeploymentNotFound"), "model_not_found"),
    Refusal("Mistral", 400, {"object": "error", "message": "Invalid model: mistral-99", "type": "invalid_model", "code": "1500"}, "model_not_found"),
    Refusal("Bedrock", 400, {"message": "The provided model identifier is invalid."}, "model_not_found"),
    Refusal("OpenAI, a project", 403, _error("Project `proj_x` does not have access to model `gpt-9`", code="model_not_found"), "model_not_found"),
    Refusal("OpenAI, another API", 404, _error("This model is only supported in v1/responses and not in v1/chat/completions.", param="model"), "model_not_found"),
    Refusal("Bedrock, too old", 404, {"message": "This model version has reached the end of its life."}, "model_not_found"),
    Refusal("Bedrock, by profile alone", 400, {"message": "Invocation of model ID x.y with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile."}, "model_not_found"),
    Refusal("Zhipu", 400, _error("模型不存在", code="1211"), "model_not_found"),
    Refusal("SiliconFlow", 403, {"code": 30003, "message": "Model disabled.", "data": None}, "model_not_found"),
    Refusal("LiteLLM", 400, _error("LLM Provider NOT provided. Pass in the LLM provider you are trying to call. You passed model=foo", code="400"), "model_not_found"),
]  # fmt: skip

OTHERS = [
    Refusal("Gemini's rate", 429, [_error("You exceeded your current quota, please check your plan and billing details.", code=429, status="RESOURCE_EXHAUSTED")], "rate_limited"),
    Refusal("Azure's filter", 400, {"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "content_filter"),
    Refusal("DashScope's filter", 400, _error("Output data may contain inappropriate content.", code="data_inspection_failed"), "content_filter"),
    Refusal("a parameter", 400, _error("Unsupported parameter: 'stop' is not supported with this model.", code="unsupported_parameter"), "bad_request"),
    Refusal("a feature of a model", 400, _error("Tool calling is not supported by this model."), "bad_request"),
    Refusal("an image", 400, _error("This model does not support image input"), "bad_request"),
    Refusal("a wrong path", 404, {"detail": "Not Found"}, "bad_request"),
    Refusal("TGI, overloaded", 424, {"error": "Model is overloaded", "error_type": "overloaded"}, "overloaded"),
    Refusal("Groq, flex", 498, _error("Flex tier capacity exceeded", type="capacity_exceeded"), "overloaded"),
    Refusal("a conflict", 409, _error("The resource is locked"), "overloaded"),
    Refusal("busy as a 400", 400, _error("The server is busy, please try again later"), "overloaded"),
    Refusal("a rate as a 400", 400, _error("Rate limit exceeded", code="rate_limit_exceeded"), "rate_limited"),
    Refusal("OpenRouter's moderation", 403, _error("Your chosen model requires moderation and your input was flagged", code=403), "content_filter"),
    Refusal("Zhipu's filter", 400, _error("系统检测到输入或生成内容可能包含不安全或敏感内容", code="1301"), "content_filter"),
    Refusal("OpenAI's policy", 400, _error("This request was blocked", code="cyber_policy_violation"), "content_filter"),
    Refusal("thinking beyond the model's", 400, _error("The thinking budget of 50000 tokens is above the maximum of 24576 tokens"), "bad_request"),
]  # fmt: skip

REFUSALS = [*TOO_LONG, *NOT_TOO_LONG, *ACCESS, *NO_MODEL, *OTHERS]

IN_A_STREAM = [
    Refusal("vLLM", 200, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages.", "code": 400}, "context_length", 5000, 4096),
    Refusal("a gateway's rate", 200, {"message": "Rate limit exceeded", "code": 429}, "rate_limited"),
    Refusal("a message alone", 200, {"message": "Internal server error"}, "overloaded"),
    Refusal("FastAPI", 200, {"detail": "Too many requests"}, "rate_limited"),
    Refusal("a list", 200, [_error("The service is overloaded.", code=503, status="UNAVAILABLE")], "overloaded"),
    Refusal("OpenRouter, in a choice", 200, {"id": "x", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": {"code": 502, "message": "Provider returned error"}}]}, "overloaded"),
    Refusal("OpenRouter, beside choices", 200, {"id": "x", "object": "chat.completion.chunk", "error": {"code": "server_error", "message": "Provider disconnected"}, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}, "overloaded"),
    Refusal("MiniMax", 200, {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "authentication"),
    Refusal("Cloudflare", 200, {"success": False, "result": None, "errors": [{"code": 3036, "message": "rate limited"}]}, "rate_limited"),
    Refusal("Anthropic", 200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    Refusal("a title", 200, {"status": 429, "title": "Too Many Requests"}, "rate_limited"),
    Refusal("Apigee", 200, {"fault": {"faultstring": "Rate limit quota violation"}}, "rate_limited"),
    Refusal("a reason", 200, {"code": 429, "reason": "RATE_LIMIT_EXCEEDED"}, "rate_limited"),
    Refusal("text as an error", 200, {"error": "engine is overloaded"}, "overloaded"),
    Refusal("MiniMax's filter", 200, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}, "content_filter"),
    Refusal("Qianfan's rate", 200, {"error_code": 18, "error_msg": "Open api qps request limit reached"}, "rate_limited"),
    Refusal("Qianfan", 200, {"error_code": 336103, "error_msg": "Prompt tokens too long"}, "context_length"),
    Refusal("Spark", 200, {"code": 10907, "message": "Token数量超过上限", "sid": "x"}, "context_length"),
]  # fmt: skip
