"""The remote that passes frames on through an MQTT broker: MQTT 5, or 3.1.1 where a broker speaks nothing later.

`address` and `names` are pure and cheap; `connection` and `remote` load the MQTT library, some 5 MB, so whoever may
not need it imports them late.
"""
