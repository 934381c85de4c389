"""Notifications to people, events to webhooks, invoices by e-mail: the right one is told, within its limit; what is
worth telling is decided by others."""
