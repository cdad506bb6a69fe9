"""What an endpoint sent back, step by step.

page (bytes -> JSON, or the server's words) -> meaning (of a status) or answer (of a body) -> EndpointReply
"""
