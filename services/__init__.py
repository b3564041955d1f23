"""The bounded contexts that own data: OMS, IMS, WMS, SMS, and the simulated upstream systems."""
