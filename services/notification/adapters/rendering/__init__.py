"""PDFs of invoices, made in processes of their own; nothing here knows of e-mails."""
