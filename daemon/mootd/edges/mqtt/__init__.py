"""The remote that passes frames on through an MQTT 5 broker.

`address` and `names` are pure and cheap; `connection` and `remote` load the MQTT library, some 5 MB, so whoever may
not need it imports them late.
"""
