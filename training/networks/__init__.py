"""Networks: functions of tensors with weights, without a process or a loss."""
