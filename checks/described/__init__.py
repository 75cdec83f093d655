"""Made-up requests by what `/openapi.json` says, and others that it does not allow: are the answers as described?"""
