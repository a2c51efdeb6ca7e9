//! What a security group means: the nouns, the rules, the state machine and the reference evaluator.
