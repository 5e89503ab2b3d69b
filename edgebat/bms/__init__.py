"""The learned SOH in a battery management system: the firmware's estimator in Python, its CAN frames, its ports."""
