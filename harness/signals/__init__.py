"""What frozen models say of responses, made once before training.

rollouts -> diverse_responses -> preference_probes    the responses, and which the teacher prefers
stored (log-probs, top-k, hidden states), output_head, live (the same without a disk); reward_model
"""
