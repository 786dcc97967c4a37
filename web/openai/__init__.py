"""OpenAI's protocol over live requests: `/v1` and `/m/NAME/v1`."""
